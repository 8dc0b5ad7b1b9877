"""One call of an AWS API, as it arrives over HTTP."""

import io
import json
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .principals import Principal, principal_of
from .s3_action import s3_action

CURRENT_CALL: ContextVar["AwsCall"] = ContextVar("CURRENT_CALL")
"""The call that is being served, for data that moto's interfaces do not pass on."""

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


@dataclass
class AwsCall:
    service: str
    action: str
    region: str
    principal: Principal | None
    """None for an access key that no account has."""
    parameters: dict[str, Any]
    body: str = ""
    """Recorded for S3 only in writes of a job, because backups are large. An encrypted body is not text."""
    effects: set[str] = field(default_factory=set)
    """Effects of faults on this call: see faults.py."""
    key_uses: list[tuple[str, str]] = field(default_factory=list)
    """Use of keys by EBS in the caller's name: actions of KMS and ARNs of keys."""

    @property
    def account(self) -> str | None:
        return self.principal.account if self.principal else None

    @property
    def caller(self) -> Principal:
        if self.principal is None:
            raise RuntimeError("A call without known credentials is refused before it is served")
        return self.principal

    @property
    def is_dry_run(self) -> bool:
        return str(self.parameters.get("DryRun", "")).lower() == "true"


def read_call(environ: dict[str, Any]) -> AwsCall | None:
    """None for a request that is not signed, such as moto's own pages."""
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if match is None:
        return None
    service = match["service"]
    body = b""
    if service == "s3":
        action, parameters = s3_action(environ)
        if "/jobs/" in parameters.get("Key", ""):
            body = _read_body(environ)
        if action == "DeleteObjects":
            parameters["Keys"] = re.findall("<Key>([^<]+)</Key>", _read_body(environ).decode())
    else:
        action, parameters = _parse_body(environ)
    return AwsCall(service, action, match["region"], principal_of(match["key"]), parameters, body.decode(errors="replace"))


def _read_body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _parse_body(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = _read_body(environ)
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target is not None:
        return target.split(".")[-1], json.loads(body or b"{}")
    parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
    parameters.pop("Version", None)
    return parameters.pop("Action", ""), parameters
