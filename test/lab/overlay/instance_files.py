"""The device files of an instance: /dev, and the part of /sys that names them."""

import shutil
from pathlib import Path

SECTOR_BYTES = 512


class InstanceFiles:
    """`<lab>/instances/<instance-id>/{dev,sys}`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, instance_id: str) -> Path:
        folder = self._folder / instance_id
        for name in ("dev", "sys/block"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return folder

    def add_nvme(self, instance_id: str, volume_id: str, device: str, size_bytes: int) -> None:
        """
        On Nitro the kernel names devices as NVMe devices, regardless of the attach name, and the serial
        number is the volume's id:
        https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html
        """
        folder = self.folder(instance_id)
        number = 0
        while (folder / "dev" / f"nvme{number}n1").is_symlink():
            number += 1
        name = f"nvme{number}n1"
        block = folder / "sys/block" / name
        (block / "device").mkdir(parents=True)
        (block / "size").write_text(f"{size_bytes // SECTOR_BYTES}\n")
        (block / "device/serial").write_text(f"{volume_id.replace('-', '')}\n")
        (folder / "dev" / name).symlink_to(device)

    def add_xen(self, instance_id: str, attach_name: str, device: str, size_bytes: int) -> None:
        """The kernel of a Xen instance names the device xvdf when it is attached as /dev/sdf."""
        folder = self.folder(instance_id)
        name = attach_name.removeprefix("/dev/").replace("sd", "xvd", 1)
        block = folder / "sys/block" / name
        block.mkdir(parents=True)
        (block / "size").write_text(f"{size_bytes // SECTOR_BYTES}\n")
        (folder / "dev" / name).symlink_to(device)

    def remove(self, instance_id: str, device: str) -> None:
        folder = self.folder(instance_id)
        for link in (folder / "dev").iterdir():
            if str(link.readlink()) == device:
                link.unlink()
                shutil.rmtree(folder / "sys/block" / link.name)
