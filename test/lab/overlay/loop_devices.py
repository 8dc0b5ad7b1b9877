"""Loop devices: the block devices of attached volumes."""

import errno
import os
import subprocess
from pathlib import Path


class LoopDevices:
    def __init__(self) -> None:
        self._by_volume: dict[str, str] = {}

    def attach(self, volume_id: str, disk: Path) -> str:
        command = ["losetup", "--find", "--show", disk]
        device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self._by_volume[volume_id] = device
        # Direct I/O, because reading holes through the page cache takes seconds for each GiB. File systems
        # without it use the page cache.
        subprocess.run(["losetup", "--direct-io=on", device], check=False, stderr=subprocess.DEVNULL)
        return device

    def detach(self, volume_id: str) -> None:
        device = self._by_volume.pop(volume_id, None)
        if device is not None:
            subprocess.run(["losetup", "--detach", device], check=True)

    def is_mounted(self, volume_id: str) -> bool:
        """A mount opens a device exclusively; a process that only reads it does not."""
        device = self._by_volume.get(volume_id)
        if device is None:
            return False
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return True
            raise
        return False

    def write_back(self, volume_id: str) -> None:
        """Writes data from the device to the disk's file."""
        device = self._by_volume.get(volume_id)
        if device is None:
            return
        handle = os.open(device, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def all(self) -> dict[str, str]:
        return dict(self._by_volume)

    def detach_all(self) -> None:
        for volume_id in list(self._by_volume):
            self.detach(volume_id)
