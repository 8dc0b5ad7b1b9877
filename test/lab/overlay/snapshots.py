"""
Snapshots: made of all volumes at one instant, `pending` at first, visible in other accounts only when shared.
"""

from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import random_snapshot_id

from .aws_call import CURRENT_CALL
from .encryption import choose_encryption
from .key_access import find_key

if TYPE_CHECKING:
    from .lab import Lab


# "Snapshots copies have an arbitrary source volume ID. Do not use this volume ID for any purpose."
_COPIED_VOLUME_ID = "vol-ffffffff"


class LabSnapshot(Snapshot):
    percent = 0
    is_copy = False
    state_message: str | None = None

    @property
    def volume_id(self) -> str:
        return _COPIED_VOLUME_ID if self.is_copy else self.volume.id

    @property
    def progress(self) -> str:
        return f"{self.percent}%"

    @property
    def state(self) -> str:
        """CreateSnapshots calls it state; other actions call it status."""
        return self.status

    @property
    def volume_size(self) -> int:
        return self.size

    def is_shared_with(self, account: str) -> bool:
        return account in self.create_volume_permission_userids or "all" in self.create_volume_permission_groups


def find_snapshot(account: str, region: str, snapshot_id: str) -> LabSnapshot:
    """Returns a snapshot of the account, or one that another account shares with it."""
    for snapshot in visible_snapshots(account, region):
        if snapshot.id == snapshot_id:
            return snapshot
    raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")


def exists(region: str, snapshot_id: str) -> bool:
    """Returns whether a snapshot exists in any account."""
    return any(snapshot_id in ec2_backends[owner][region].snapshots for owner in list(ec2_backends))


class SharedSnapshot:
    """A snapshot as another account sees it: without the owner's tags."""

    tag_set: tuple[()] = ()
    tag_list: tuple[()] = ()
    tags: tuple[()] = ()

    def __init__(self, snapshot: LabSnapshot) -> None:
        self._snapshot = snapshot

    def __getattr__(self, name: str) -> Any:
        return getattr(self._snapshot, name)

    def get_filter_value(self, name: str) -> Any:
        return [] if name.startswith("tag") else self._snapshot.get_filter_value(name)


def visible_snapshots(account: str, region: str) -> list[LabSnapshot]:
    """Returns snapshots, without those of images."""
    return [
        snapshot
        for owner in list(ec2_backends)
        for snapshot in ec2_backends[owner][region].snapshots.values()
        if isinstance(snapshot, LabSnapshot) and (owner == account or snapshot.is_shared_with(account))
    ]


class LabSnapshotBackend:
    lab: "Lab"
    account_id: str
    region_name: str
    snapshots: dict[str, Snapshot]
    default_kms_key_id: str

    def create_snapshot(
        self, volume_id: str, description: str, owner_id: str | None = None, from_ami: str | None = None
    ) -> Snapshot:
        if from_ami is not None:  # An image's snapshot is no disk of the lab.
            return super().create_snapshot(volume_id, description, owner_id, from_ami)
        volume = self.get_volume(volume_id)
        key = volume.kms_key_id if volume.encrypted else None
        snapshot = LabSnapshot(self, random_snapshot_id(), volume, description, volume.encrypted, key)
        self.lab.loop_devices.write_back(volume_id)
        self.lab.disks.copy(volume_id, snapshot.id, volume.size)
        return self._begin(snapshot, volume.size)

    def copy_snapshot(
        self, source_snapshot_id: str, source_region: str, description: str, kms_key_id: str | None
    ) -> Snapshot:
        source = find_snapshot(self.account_id, source_region, source_snapshot_id)
        if source.status != "completed":
            raise EC2ClientError("IncorrectState", f"Snapshot is in invalid state - {source.status}")
        call = CURRENT_CALL.get()
        encryption = choose_encryption(
            call.caller,
            self.region_name,
            self.default_kms_key_id or None,
            kms_key_id,
            str(call.parameters.get("Encrypted", "")).lower() == "true" or self.ebs_encryption_by_default,
            source.kms_key_id,
        )
        copy = LabSnapshot(
            self, random_snapshot_id(), source.volume, description, encryption.encrypted, encryption.key_name
        )
        copy.is_copy = True
        self.lab.disks.copy(source.id, copy.id, source.size)
        return self._begin(copy, source.size, encryption.why_not)

    def delete_snapshot(self, snapshot_id: str) -> Snapshot:
        snapshot = super().delete_snapshot(snapshot_id)
        self.lab.disks.delete(snapshot_id)
        return snapshot

    def add_create_volume_permission(self, snapshot_id: str, user_ids: list[str], groups: list[str]) -> None:
        """
        "You can't share snapshots that are encrypted with the default AWS managed key", and encrypted
        snapshots can't be public:
        https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
        """
        snapshot = self.get_snapshot(snapshot_id)
        key = find_key(self.account_id, self.region_name, snapshot.kms_key_id) if snapshot.kms_key_id else None
        if key is not None and key.key_manager == "AWS":
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
        if groups and snapshot.encrypted:
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
        super().add_create_volume_permission(snapshot_id, user_ids, groups)

    def _begin(self, snapshot: LabSnapshot, size: int, why_failed: str | None = None) -> LabSnapshot:
        snapshot.size = size
        snapshot.status = "pending"
        self.snapshots[snapshot.id] = snapshot
        self.lab.new_ids.add(snapshot.id)
        if "snapshot-error" in CURRENT_CALL.get().effects:
            why_failed = "by a fault"
        self.lab.schedule.after(self.lab.settings.latency_seconds / 2, lambda: _advance(snapshot, 50))
        self.lab.soon(lambda: _finish(snapshot, why_failed))
        return snapshot


def _advance(snapshot: LabSnapshot, percent: int) -> None:
    snapshot.percent = percent


def _finish(snapshot: LabSnapshot, why_failed: str | None) -> None:
    if why_failed is None:
        snapshot.status = "completed"
        snapshot.percent = 100
        return
    snapshot.status = "error"
    # "if the proper KMS permissions are not obtained ... this field displays error state details"
    snapshot.state_message = f"Given key ID is not accessible: {why_failed}"


def owned_by(snapshots: list[LabSnapshot], owners: list[str], account: str) -> list[LabSnapshot]:
    """@param owners account ids, or `self`"""
    wanted = {account if owner == "self" else owner for owner in owners}
    return [snapshot for snapshot in snapshots if not wanted or snapshot.owner_id in wanted]
