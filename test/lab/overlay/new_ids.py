"""
Ids that are not visible yet, neither by name nor in listings: "the result of an API command you run that
affects your Amazon EC2 resources might not be immediately visible to all subsequent commands you run".
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from .aws_call import CURRENT_CALL, AwsCall
from .faults import ErrorAnswer
from .settings import Settings

Resource = TypeVar("Resource")

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
        """
        Returns NotFound for an invisible id. In a filter it is not an error, because a filter may find
        nothing.
        """
        for name, value in call.parameters.items():
            if self._is_invisible(value) and not name.startswith("Filter."):
                prefix = value[: value.index("-") + 1]
                code, message = _NOT_FOUND[prefix]
                return ErrorAnswer(code, message.format(value))
        return None

    def listed(self, found: list[Resource], id_of: Callable[[Resource], str]) -> list[Resource]:
        """Returns the resources that the current call may see; with a fault none, or one."""
        effects = CURRENT_CALL.get().effects
        if "list-nothing" in effects:
            return []
        visible = [resource for resource in found if not self._is_invisible(id_of(resource))]
        return visible[:1] if "list-one" in effects else visible

    def _is_invisible(self, value: Any) -> bool:
        return isinstance(value, str) and time.monotonic() < self._visible_at.get(value, 0)
