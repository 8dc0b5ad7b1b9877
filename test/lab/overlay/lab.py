"""State that the parts of the overlay share."""

import threading
from collections.abc import Callable
from pathlib import Path

from .agents import Agents
from .disks import Disks
from .faults import Faults
from .instance_files import InstanceFiles
from .loop_devices import LoopDevices
from .new_ids import NewIds
from .request_log import RequestLog
from .schedule import Schedule
from .settings import Settings
from .withheld import Withheld


class Lab:
    def __init__(self, folder: Path, endpoint_url: str, agent_command: list[str]) -> None:
        self.lock = threading.RLock()
        """Held during each call except S3's, which carry the data and change no state here."""
        self.settings = Settings()
        self.schedule = Schedule(self.lock)
        self.faults = Faults()
        self.withheld = Withheld()
        self.log = RequestLog()
        self.new_ids = NewIds(self.settings)
        self.disks = Disks(folder / "disks")
        self.loop_devices = LoopDevices()
        self.instance_files = InstanceFiles(folder / "instances")
        self.agents = Agents(self.instance_files, endpoint_url, agent_command, self.settings)

    def soon(self, action: Callable[[], None]) -> None:
        """Runs an action after the duration of a pending state."""
        self.schedule.after(self.settings.latency_seconds, action)

    def close(self) -> None:
        self.agents.stop_all()
        self.loop_devices.detach_all()
