"""A log of all calls, for tests; it includes calls of KMS that EBS makes in a caller's name."""

import time
from typing import Any

from .aws_call import AwsCall
from .faults import ErrorAnswer
from .key_access import ebs_of


class RequestLog:
    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(self, call: AwsCall, named: dict[str, Any], error: ErrorAnswer | None) -> None:
        entry = {
            "time": time.time(),
            "account": call.account,
            "principal": call.principal.arn if call.principal else None,
            "service": call.service,
            "action": call.action,
            "region": call.region,
            "parameters": call.parameters,
            "named": named,
            "via": None,
            "error": {"code": error.code, "status": error.status} if error else None,
        }
        self._entries.append(entry)
        for action, key in call.key_uses:
            use = {"service": "kms", "action": action, "parameters": {"KeyId": key}, "named": {}, "error": None}
            region = key.split(":")[3]
            self._entries.append(entry | use | {"region": region, "via": ebs_of(region)})

    def all(self) -> list[dict[str, Any]]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()
