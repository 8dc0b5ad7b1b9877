"""
`python -m overlay.server --folder DIR --agent COMMAND...`: runs moto with the overlay until standard input
ends.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import moto.ec2.urls
import moto.kms.urls
import moto.sts.urls
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from .accounts import SOURCE_ACCOUNT, WORKER_ACCOUNT, make_account
from .application import LabApplication
from .ec2_backend import ec2_backend_of
from .ec2_response import LabEc2Response
from .kms_response import LabKmsResponse
from .lab import Lab
from .sts_response import LabStsResponse

_HOST = "127.0.0.1"


class _QuietHandler(MotoRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Logs nothing: GET /lab/requests returns more."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--agent", nargs="+", required=True)
    args = parser.parse_args()
    # The port is known after the bind, and the lab needs its URL before it serves.
    application: list[LabApplication] = []
    server = make_server(
        _HOST, 0, lambda *call: application[0](*call), threaded=True, request_handler=_QuietHandler
    )
    endpoint_url = f"http://{_HOST}:{server.server_port}"
    # Moto's hundreds of images, for whose volumes the lab would make disks.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    lab = Lab(args.folder, endpoint_url, args.agent)
    _put_over_moto(lab)
    application.append(LabApplication(lab, DomainDispatcherApplication(create_backend_app)))
    lab.schedule.start()
    _write_ready(args.folder, endpoint_url)
    # Ctrl-C goes to the whole process group, but only the parent process should handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_the_end, args=[server], daemon=True).start()
    try:
        server.serve_forever()
    finally:
        lab.close()


def _wait_for_the_end(server: BaseWSGIServer) -> None:
    """Standard input ends with the parent process, even if that is killed. So no loop device outlives it."""
    sys.stdin.read()
    server.shutdown()


def _put_over_moto(lab: Lab) -> None:
    ec2_backends.backend = ec2_backend_of(lab)
    moto.ec2.urls.url_paths = {"{0}/": LabEc2Response.dispatch}
    moto.kms.urls.url_paths = {"{0}/$": LabKmsResponse.dispatch}
    moto.sts.urls.url_paths = {"{0}/$": LabStsResponse.dispatch}


def _write_ready(folder: Path, endpoint_url: str) -> None:
    """Renames the file into place, so that a waiting process never reads half of it."""
    ready = {
        "endpointUrl": endpoint_url,
        "source": make_account(SOURCE_ACCOUNT, "source"),
        "worker": make_account(WORKER_ACCOUNT, "worker"),
    }
    partial = folder / "lab.json.tmp"
    partial.write_text(json.dumps(ready))
    partial.rename(folder / "lab.json")


if __name__ == "__main__":
    main()
