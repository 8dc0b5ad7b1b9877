"""Every call that was made, for tests to look at."""

import time
from typing import Any

from .aws_call import AwsCall
from .faults import ErrorAnswer


class RequestLog:
    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(self, call: AwsCall, error: ErrorAnswer | None) -> None:
        self._entries.append(
            {
                "time": time.time(),
                "account": call.account,
                "principal": call.principal.arn if call.principal else None,
                "service": call.service,
                "action": call.action,
                "region": call.region,
                "parameters": call.parameters,
                "error": {"code": error.code, "status": error.status} if error else None,
            }
        )

    def all(self) -> list[dict[str, Any]]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()
