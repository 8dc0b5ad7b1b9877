"""Actions that run some time after they were requested."""

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable


class Schedule:
    """Runs actions at their time in one thread, which holds the lab's lock meanwhile."""

    def __init__(self, lock: threading.RLock) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition(lock)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), action))
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                if not self._due:
                    self._changed.wait()
                    continue
                wait_seconds = self._due[0][0] - time.monotonic()
                if wait_seconds > 0:
                    self._changed.wait(wait_seconds)
                    continue
                action = heapq.heappop(self._due)[2]
                try:
                    action()
                except Exception:  # One failed action must not end all later ones.
                    traceback.print_exc()
