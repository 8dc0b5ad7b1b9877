"""
The instance metadata service of one instance, version 2 only: a PUT returns a token, which each request
needs. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from moto.ec2.models.instances import Instance
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, make_server

AGENT_ROLE = "blockferry-agent"
_TOKEN_PATH = "/latest/api/token"
_ROLES_PATH = "/latest/meta-data/iam/security-credentials/"
_SESSION_SECONDS = 3600


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Logs nothing: the lab has its own log."""


class Imds:
    """The service on its own port, so that clients find it at the root of a URL, as at 169.254.169.254."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._tokens: set[str] = set()
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_QuietHandler)
        self.spot_action: str | None = None
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body = self._answer(environ)
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        path = environ["PATH_INFO"]
        if path == _TOKEN_PATH and environ["REQUEST_METHOD"] == "PUT":
            return self._new_token(environ)
        if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") not in self._tokens:
            return "401 Unauthorized", b""
        text = self._text(path)
        return ("404 Not Found", b"") if text is None else ("200 OK", text.encode())

    def _new_token(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        if "HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS" not in environ:
            return "400 Bad Request", b""
        token = secrets.token_urlsafe(32)
        self._tokens.add(token)
        return "200 OK", token.encode()

    def _text(self, path: str) -> str | None:
        instance = self._instance
        if path == "/latest/meta-data/instance-id":
            return instance.id
        if path == "/latest/meta-data/placement/region":
            return instance.region_name
        if path == "/latest/meta-data/spot/instance-action":
            return self.spot_action
        if path == "/latest/user-data":
            return instance.user_data.decode() if instance.user_data else None
        if path == _ROLES_PATH:
            return AGENT_ROLE
        if path == _ROLES_PATH + AGENT_ROLE:
            return json.dumps(_credentials(instance))
        return None

    def interrupt(self, when: datetime) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
        self.spot_action = json.dumps({"action": "terminate", "time": when.isoformat()})


def _credentials(instance: Instance) -> dict[str, str]:
    account = instance.owner_id
    role_arn = f"arn:aws:iam::{account}:role/{AGENT_ROLE}"
    role = sts_backends[account]["aws"].assume_role(instance.region_name, instance.id, role_arn, "", _SESSION_SECONDS, "")
    expiration = datetime.now(timezone.utc) + timedelta(seconds=_SESSION_SECONDS)
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": role.access_key_id,
        "SecretAccessKey": role.secret_access_key,
        "Token": role.session_token,
        "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
