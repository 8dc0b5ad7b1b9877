"""The content of volumes and snapshots: one sparse file each."""

import os
import subprocess
from pathlib import Path

GIB = 1 << 30


class Disks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, resource_id: str) -> Path:
        return self._folder / f"{resource_id}.img"

    def create(self, resource_id: str, size_gib: int) -> None:
        with open(self.path(resource_id), "wb") as file:
            file.truncate(size_gib * GIB)

    def copy(self, source_id: str, target_id: str, size_gib: int) -> None:
        """Makes a disk from another one; a volume may be larger than its snapshot."""
        target = self.path(target_id)
        command = ["cp", "--reflink=auto", "--sparse=always", self.path(source_id), target]
        subprocess.run(command, check=True)
        os.truncate(target, size_gib * GIB)

    def delete(self, resource_id: str) -> None:
        self.path(resource_id).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.img"))
