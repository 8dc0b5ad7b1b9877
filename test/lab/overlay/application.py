"""Handles each call: refuses it, applies a fault, answers it from memory, or passes it to moto."""

import socket
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from .aws_call import CURRENT_CALL, AwsCall, read_call
from .client_tokens import Answer, ClientTokens
from .control import Control
from .effects import apply_worker_effect
from .error_answers import error_body, error_in
from .faults import WORKER_EFFECTS, ErrorAnswer, Fault, throttled
from .key_access import disable_key
from .lab import Lab
from .named_resources import named_resources
from .needed_actions import needed_actions
from .policies import Request, identity_allows
from .tags import tags_as_before

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LabApplication:
    def __init__(self, lab: Lab, moto: WsgiApplication) -> None:
        self._lab = lab
        self._moto = moto
        self._control = Control(lab)
        self._tokens = ClientTokens()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/lab/"):
            with self._lab.lock:
                status, headers, body = self._control.answer(environ)
        else:
            call = read_call(environ)
            status, headers, body = self._serve(call, environ) if call else self._ask_moto(environ)
            if call and "withhold-answer" in call.effects:
                self._lab.withheld.wait()
            if call and "lose-answer" in call.effects:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(status, headers)
        return [body]

    def _serve(self, call: AwsCall, environ: dict[str, Any]) -> Answer:
        if call.service == "s3":
            with self._lab.lock:
                faults = list(self._lab.faults.take(call))
                answer = self._answer_of(faults, call)
            answer = answer or self._ask_moto(environ)
            with self._lab.lock:
                self._conclude(call, {}, faults, answer)
            return answer
        with self._lab.lock:
            faults = list(self._lab.faults.take(call))
            named = named_resources(call)
            answer = self._answer_of(faults, call) or self._answer_by_rules(call) or self._perform(call, environ)
            self._conclude(call, named, faults, answer)
            return answer

    def _answer_of(self, faults: list[Fault], call: AwsCall) -> Answer | None:
        for fault in faults:
            if fault.error is not None:
                return _error(call, fault.error)
            if fault.effect == "throttle":
                return _error(call, throttled(call.service))
            if fault.effect == "disable-key" and fault.key is not None:
                disable_key(fault.key)
            elif fault.effect is not None:
                call.effects.add(fault.effect)
        return None

    def _answer_by_rules(self, call: AwsCall) -> Answer | None:
        if call.principal is None:
            message = "AWS was not able to validate the provided access credentials"
            return _error(call, ErrorAnswer("AuthFailure", message, 401))
        # GetCallerIdentity: "No permissions are required to perform this operation."
        # KMS decides by key policy and the caller's policies together.
        if call.service not in ("kms", "iam") and call.action != "GetCallerIdentity":
            for action in needed_actions(call):
                if not identity_allows(Request(call.caller, action)):
                    return _error(call, _unauthorized(call, action))
        invisible = self._lab.new_ids.error_for(call)
        if invisible is not None:
            return _error(call, invisible)
        remembered = self._tokens.answer_to(call)
        return _error(call, remembered) if isinstance(remembered, ErrorAnswer) else remembered

    def _perform(self, call: AwsCall, environ: dict[str, Any]) -> Answer:
        token = CURRENT_CALL.set(call)
        try:
            with tags_as_before() if "stale-tags" in call.effects else nullcontext():
                answer = self._ask_moto(environ)
        finally:
            CURRENT_CALL.reset(token)
        if error_in(answer[0], answer[2]) is None:
            self._tokens.remember(call, answer)
        return answer

    def _conclude(self, call: AwsCall, named: dict[str, Any], faults: list[Fault], answer: Answer) -> None:
        self._lab.log.add(call, named, error_in(answer[0], answer[2]))
        for fault in faults:
            if fault.effect in WORKER_EFFECTS:
                apply_worker_effect(self._lab, fault.effect, fault.worker)

    def _ask_moto(self, environ: dict[str, Any]) -> Answer:
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            head.extend((status, headers))

        body = b"".join(self._moto(environ, start_response))
        return head[0], head[1], body


def _unauthorized(call: AwsCall, action: str) -> ErrorAnswer:
    message = f"You are not authorized to perform this operation. {call.caller.arn} is not authorized to perform: {action}"
    return ErrorAnswer("UnauthorizedOperation" if call.service == "ec2" else "AccessDenied", message, 403)


def _error(call: AwsCall, error: ErrorAnswer) -> Answer:
    content_type, body = error_body(call.service, error)
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return f"{error.status} {HTTPStatus(error.status).phrase}", headers, body
