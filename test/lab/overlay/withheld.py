"""Answers that are withheld, so that a test can kill the caller after a call and before its answer."""

import threading


class Withheld:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0
        self._round = 0

    def wait(self) -> None:
        """Waits until all answers are released."""
        with self._changed:
            self._waiting += 1
            begun = self._round
            self._changed.wait_for(lambda: self._round > begun)

    def count(self) -> int:
        with self._changed:
            return self._waiting

    def release(self) -> None:
        with self._changed:
            self._round += 1
            self._waiting = 0
            self._changed.notify_all()
