"""
Volumes: made from resources that the caller may use, `creating` at first, `error` when their key can't be
used.
"""

from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError, InvalidParameterDependency, MissingParameterError
from moto.ec2.models.elastic_block_store import IOPS_REQUIRED_VOLUME_TYPES, Volume
from moto.ec2.utils import random_volume_id

from .aws_call import CURRENT_CALL
from .encryption import choose_encryption
from .snapshots import LabSnapshot, find_snapshot

if TYPE_CHECKING:
    from .lab import Lab

_DEFAULT_IOPS = 3000
_DEFAULT_THROUGHPUT = 125


class LabVolume(Volume):
    made = "creating"
    """State after `creating`: `available` or `error`. Not named state, because moto would return it."""
    why_failed: str | None = None

    @property
    def status(self) -> str:
        return "in-use" if self.attachment and self.made == "available" else self.made


class LabVolumeBackend:
    lab: "Lab"
    account_id: str
    region_name: str
    volumes: dict[str, Volume]
    default_kms_key_id: str
    ebs_encryption_by_default: bool

    def create_volume(
        self,
        size: int | None,
        zone_name: str,
        snapshot_id: str | None = None,
        encrypted: bool = False,
        kms_key_id: str | None = None,
        volume_type: str | None = None,
        iops: int | None = None,
        throughput: int | None = None,
        multi_attach_enabled: bool | None = None,
    ) -> LabVolume:
        if kms_key_id and not encrypted:
            raise InvalidParameterDependency("KmsKeyId", "Encrypted")
        if volume_type in IOPS_REQUIRED_VOLUME_TYPES and not iops:
            raise InvalidParameterDependency("VolumeType", "Iops")
        if volume_type == "gp3":
            iops, throughput = iops or _DEFAULT_IOPS, throughput or _DEFAULT_THROUGHPUT
        snapshot = self._complete_snapshot(snapshot_id) if snapshot_id else None
        size = self._checked_size(size, snapshot)
        call = CURRENT_CALL.get()
        encryption = choose_encryption(
            call.caller,
            self.region_name,
            self.default_kms_key_id or None,
            kms_key_id or self._key_kept_from(snapshot, encrypted),
            encrypted or self.ebs_encryption_by_default,
            snapshot.kms_key_id if snapshot else None,
        )
        volume = LabVolume(
            self,
            random_volume_id(),
            size,
            self.get_zone_by_name(zone_name),
            snapshot_id,
            encryption.encrypted,
            encryption.key_name,
            volume_type,
            iops,
            throughput,
            multi_attach_enabled,
        )
        volume.why_failed = "by a fault" if "volume-error" in call.effects else encryption.why_not
        self.volumes[volume.id] = volume
        self._fill(volume, snapshot)
        self.lab.new_ids.add(volume.id)
        self.lab.soon(lambda: self._finish(volume))
        return volume

    def delete_volume(self, volume_id: str) -> Volume:
        volume = super().delete_volume(volume_id)
        self.lab.disks.delete(volume_id)
        return volume

    def _complete_snapshot(self, snapshot_id: str) -> LabSnapshot:
        snapshot = find_snapshot(self.account_id, self.region_name, snapshot_id)
        if snapshot.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
        return snapshot

    def _checked_size(self, size: Any, snapshot: LabSnapshot | None) -> int:
        if size is None and snapshot is None:
            raise MissingParameterError("size/snapshot")
        least = snapshot.volume_size if snapshot else 1
        if size is not None and int(size) < least:
            raise EC2ClientError("InvalidParameterValue", f"The size of a volume can't be less than {least} GiB.")
        return least if size is None else int(size)

    def _key_kept_from(self, snapshot: LabSnapshot | None, encrypted: bool) -> str | None:
        """
        A volume from a snapshot that you own keeps the snapshot's key. A volume from a snapshot shared with
        you gets the default key. `Encrypted` without a key also selects the default key:
        https://docs.aws.amazon.com/ebs/latest/userguide/encryption-examples.html
        """
        is_own = snapshot is not None and snapshot.owner_id == self.account_id
        return snapshot.kms_key_id if snapshot and is_own and not encrypted else None

    def _fill(self, volume: LabVolume, snapshot: LabSnapshot | None) -> None:
        if snapshot is None:
            self.lab.disks.create(volume.id, volume.size)
        else:
            self.lab.disks.copy(snapshot.id, volume.id, volume.size)

    def _finish(self, volume: LabVolume) -> None:
        if volume.why_failed is None:
            volume.made = "available"
            return
        volume.made = "error"
        if self.lab.settings.unusable_key == "vanish" and self.volumes.pop(volume.id, None):
            self.lab.disks.delete(volume.id)
