"""
Ids that are not to be seen yet: "the result of an API command you run that affects your Amazon EC2 resources might not be
immediately visible to all subsequent commands you run".
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

import time
from typing import Any

from .aws_call import AwsCall
from .faults import ErrorAnswer
from .settings import Settings

_NOT_FOUND = {
    "vol-": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "snap-": ("InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."),
    "i-": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
}


class NewIds:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._visible_at: dict[str, float] = {}

    def add(self, resource_id: str) -> None:
        self._visible_at[resource_id] = time.monotonic() + self._settings.invisible_ms / 1000

    def error_for(self, call: AwsCall) -> ErrorAnswer | None:
        for value in call.parameters.values():
            if self._is_invisible(value):
                prefix = value[: value.index("-") + 1]
                code, message = _NOT_FOUND[prefix]
                return ErrorAnswer(code, message.format(value))
        return None

    def _is_invisible(self, value: Any) -> bool:
        return isinstance(value, str) and time.monotonic() < self._visible_at.get(value, 0)
