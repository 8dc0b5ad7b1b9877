"""The lab's own API in JSON, through which tests control and inspect it."""

import json
import traceback
from collections.abc import Callable
from typing import Any

from .accounts import replace_policy
from .client_tokens import Answer
from .effects import apply_worker_effect
from .lab import Lab
from .resources import all_resources


class Control:
    def __init__(self, lab: Lab) -> None:
        self._routes: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("POST", "/lab/faults"): lab.faults.add,
            ("GET", "/lab/faults"): lambda _: lab.faults.met(),
            ("DELETE", "/lab/faults"): lambda _: _clear_faults(lab),
            ("GET", "/lab/withheld"): lambda _: lab.withheld.count(),
            ("POST", "/lab/effects"): lambda wanted: apply_worker_effect(lab, wanted["effect"], wanted.get("worker")),
            ("POST", "/lab/policies"): replace_policy,
            ("GET", "/lab/requests"): lambda _: lab.log.all(),
            ("DELETE", "/lab/requests"): lambda _: lab.log.clear(),
            ("GET", "/lab/resources"): lambda _: all_resources(lab),
            ("GET", "/lab/settings"): lambda _: lab.settings.as_json(),
            ("POST", "/lab/settings"): lab.settings.change,
        }

    def answer(self, environ: dict[str, Any]) -> Answer:
        route = self._routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if route is None:
            return _json("404 Not Found", {"error": "There is no such path"})
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            return _json("200 OK", route(json.loads(body) if body else None))
        except Exception as error:  # Whatever is wrong with a test's request, the test is to see it.
            traceback.print_exc()
            return _json("400 Bad Request", {"error": repr(error)})


def _clear_faults(lab: Lab) -> None:
    lab.faults.clear()
    lab.withheld.release()


def _json(status: str, value: Any) -> Answer:
    body = json.dumps(value).encode()
    return status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body
