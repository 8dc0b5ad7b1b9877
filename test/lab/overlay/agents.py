"""The agents: real processes, one on each instance whose user data name a repository."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass

from moto.ec2.models.instances import Instance

from .imds import Imds
from .instance_files import InstanceFiles
from .settings import Settings

_END_SECONDS = 10


@dataclass
class _Agent:
    process: subprocess.Popen[bytes]
    imds: Imds


class Agents:
    def __init__(self, files: InstanceFiles, endpoint_url: str, command: list[str], settings: Settings) -> None:
        self._files = files
        self._settings = settings
        self._endpoint_url = endpoint_url
        self._command = command
        self._running: dict[str, _Agent] = {}

    def start(self, instance: Instance) -> None:
        if not _has_repository(instance):
            return
        imds = Imds(instance)
        folder = self._files.folder(instance.id)
        arguments = ["serve", "--worker-id", "auto", "--sysfs", folder / "sys", "--dev", folder / "dev"]
        intervals = ["--poll-interval", "0.2", "--status-interval", "0.2"]
        with open(folder / "agent.log", "ab") as log:
            process = subprocess.Popen(
                [*self._command, *arguments, *intervals],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    "PATH": os.environ["PATH"],
                    "BLOCKFERRY_STATE_DIR": str(folder / "state"),
                    "AWS_ENDPOINT_URL": self._endpoint_url,
                    "AWS_REGION": instance.region_name,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
                }
                | self._image_environment(),
            )
        self._running[instance.id] = _Agent(process, imds)

    def _image_environment(self) -> dict[str, str]:
        keys = {
            "BLOCKFERRY_JOB_KEY": self._settings.job_key,
            "BLOCKFERRY_REPLY_KEY": self._settings.reply_key,
        }
        return {name: key for name, key in keys.items() if key is not None}

    def stop(self, instance_id: str) -> None:
        """Ends the agent as when a machine is switched off."""
        agent = self._running.pop(instance_id, None)
        if agent is None:
            return
        agent.process.kill()
        agent.process.wait(_END_SECONDS)
        agent.imds.close()

    def kill(self, instance_id: str) -> None:
        """Kills only the process; the instance continues."""
        self._send(instance_id, signal.SIGKILL)

    def hang(self, instance_id: str) -> None:
        self._send(instance_id, signal.SIGSTOP)

    def _send(self, instance_id: str, what: signal.Signals) -> None:
        agent = self._running.get(instance_id)
        if agent is not None:
            agent.process.send_signal(what)

    def imds_of(self, instance_id: str) -> Imds | None:
        agent = self._running.get(instance_id)
        return agent.imds if agent else None

    def instance_ids(self) -> list[str]:
        return list(self._running)

    def pids(self) -> dict[str, int]:
        """Process ids of running agents, by instance."""
        return {
            instance_id: agent.process.pid
            for instance_id, agent in self._running.items()
            if agent.process.poll() is None
        }

    def stop_all(self) -> None:
        for instance_id in list(self._running):
            self.stop(instance_id)


def _has_repository(instance: Instance) -> bool:
    try:
        document = json.loads(instance.user_data.decode())
    except (AttributeError, ValueError):
        return False
    return isinstance(document, dict) and "repo" in document.get("blockferry", {})
