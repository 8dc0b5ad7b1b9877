"""
Client tokens. "With an idempotent request, if the original request completes successfully, any subsequent
retries complete successfully without performing any further actions." A retry with other parameters is an
IdempotentParameterMismatch: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from dataclasses import dataclass
from typing import Any

from .aws_call import AwsCall
from .faults import ErrorAnswer

Answer = tuple[str, list[tuple[str, str]], bytes]


@dataclass(frozen=True)
class _Remembered:
    parameters: dict[str, Any]
    answer: Answer


class ClientTokens:
    def __init__(self) -> None:
        self._answers: dict[tuple[str, ...], _Remembered] = {}

    def answer_to(self, call: AwsCall) -> Answer | ErrorAnswer | None:
        remembered = self._answers.get(_key(call))
        if remembered is None or call.is_dry_run:
            return None
        if remembered.parameters != call.parameters:
            message = "The parameters of the request differ from those of an earlier one with the same client token."
            return ErrorAnswer("IdempotentParameterMismatch", message)
        return remembered.answer

    def remember(self, call: AwsCall, answer: Answer) -> None:
        if call.parameters.get("ClientToken") and not call.is_dry_run:
            self._answers[_key(call)] = _Remembered(dict(call.parameters), answer)


def _key(call: AwsCall) -> tuple[str, ...]:
    return (call.caller.account, call.region, call.action, str(call.parameters.get("ClientToken")))
