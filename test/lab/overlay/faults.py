"""Faults, and the calls that they strike."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .aws_call import AwsCall

WORKER_EFFECTS = ("kill-agent", "hang-agent", "terminate-worker", "spot-interrupt")
CALL_EFFECTS = (
    *("volume-error", "snapshot-error", "never-attach", "disable-key"),
    *("list-nothing", "list-one", "stale-tags", "lose-answer", "withhold-answer"),
)
_EFFECTS = (*WORKER_EFFECTS, *CALL_EFFECTS, "throttle")


@dataclass(frozen=True)
class ErrorAnswer:
    code: str
    message: str
    status: int = 400


@dataclass(frozen=True)
class Beginning:
    """The call that starts a fault."""

    action: str
    body: str
    """Part of the body."""


@dataclass
class Fault:
    action: str
    """Name of the API action, or `*`."""
    times: int = 1
    after: int = 0
    """Number of calls that pass first."""
    dry_run: bool = False
    """True: strikes calls with DryRun only. Otherwise it strikes all other calls only."""
    account: str | None = None
    naming: str | None = None
    """Part of one of the call's parameters."""
    since: Beginning | None = None
    """Number of the last call that passes."""
    worker: str | None = None
    """Target of an effect on workers: see effects.py."""
    key: str | None = None
    """ARN of the key to disable."""
    error: ErrorAnswer | None = None
    effect: str | None = None
    met: int = 0
    """How often the fault has struck."""

    def matches(self, call: AwsCall) -> bool:
        return (
            self.since is None
            and self.action in (call.action, "*")
            and self.account in (None, call.account)
            and self.dry_run == call.is_dry_run
            and (self.naming is None or any(self.naming in str(value) for value in call.parameters.values()))
        )

    def begin_with(self, call: AwsCall) -> None:
        if self.since is not None and self.since.action == call.action and self.since.body in call.body:
            self.since = None


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, wanted: dict[str, Any]) -> None:
        wanted = dict(wanted)
        error = wanted.pop("error", None)
        since = wanted.pop("since", None)
        dry_run = wanted.pop("dryRun", False)
        fault = Fault(
            **wanted,
            dry_run=dry_run,
            error=ErrorAnswer(**error) if error else None,
            since=Beginning(**since) if since else None,
        )
        if fault.effect is not None and fault.effect not in _EFFECTS:
            raise ValueError(f"There is no effect {fault.effect}")
        if (fault.error is None) == (fault.effect is None):
            raise ValueError("A fault has an error or an effect")
        self._faults.append(fault)

    def met(self) -> list[int]:
        return [fault.met for fault in self._faults]

    def clear(self) -> None:
        self._faults.clear()

    def take(self, call: AwsCall) -> Iterable[Fault]:
        """Returns the faults that strike this call."""
        met = []
        for fault in self._faults:
            fault.begin_with(call)
            if not fault.matches(call):
                continue
            if fault.after > 0:
                fault.after -= 1
            elif fault.times > 0:
                fault.times -= 1
                fault.met += 1
                met.append(fault)
        return met


def throttled(service: str) -> ErrorAnswer:
    """The error code of each service for too many calls."""
    if service == "ec2":
        # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
        return ErrorAnswer("RequestLimitExceeded", "Request limit exceeded.", 503)
    if service == "s3":
        return ErrorAnswer("SlowDown", "Please reduce your request rate.", 503)
    return ErrorAnswer("ThrottlingException", "Rate exceeded", 400)
