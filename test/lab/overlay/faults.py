"""What goes wrong, and with which call."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .aws_call import AwsCall

WORKER_EFFECTS = ("kill-agent", "terminate-worker", "spot-interrupt")
CALL_EFFECTS = ("volume-error", "snapshot-error", "never-attach")
_EFFECTS = (*WORKER_EFFECTS, *CALL_EFFECTS, "throttle")


@dataclass(frozen=True)
class ErrorAnswer:
    code: str
    message: str
    status: int = 400


@dataclass
class Fault:
    action: str
    """Name of the API action, or `*`."""
    times: int = 1
    after: int = 0
    """Calls that pass first."""
    dry_run: bool = False
    """Whether calls with DryRun are meant; the others otherwise."""
    account: str | None = None
    error: ErrorAnswer | None = None
    effect: str | None = None

    def matches(self, call: AwsCall) -> bool:
        return (
            self.action in (call.action, "*")
            and self.account in (None, call.account)
            and self.dry_run == call.is_dry_run
        )


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, wanted: dict[str, Any]) -> None:
        wanted = dict(wanted)
        error = wanted.pop("error", None)
        dry_run = wanted.pop("dryRun", False)
        fault = Fault(**wanted, dry_run=dry_run, error=ErrorAnswer(**error) if error else None)
        if fault.effect is not None and fault.effect not in _EFFECTS:
            raise ValueError(f"There is no effect {fault.effect}")
        if (fault.error is None) == (fault.effect is None):
            raise ValueError("A fault has an error or an effect")
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, call: AwsCall) -> Iterable[Fault]:
        """The faults that this call meets."""
        met = []
        for fault in self._faults:
            if not fault.matches(call):
                continue
            if fault.after > 0:
                fault.after -= 1
            elif fault.times > 0:
                fault.times -= 1
                met.append(fault)
        return met


def throttled(service: str) -> ErrorAnswer:
    """How each service says that there were too many calls."""
    if service == "ec2":
        # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
        return ErrorAnswer("RequestLimitExceeded", "Request limit exceeded.", 503)
    if service == "s3":
        return ErrorAnswer("SlowDown", "Please reduce your request rate.", 503)
    return ErrorAnswer("ThrottlingException", "Rate exceeded", 400)
