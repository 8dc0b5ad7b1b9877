"""Everything that exists in the lab, to compare before and after a test."""

from typing import Any

from moto.ec2.models import EC2Backend, ec2_backends
from moto.kms.models import kms_backends

from .lab import Lab
from .named_resources import tags_of
from .snapshots import LabSnapshot


def all_resources(lab: Lab) -> dict[str, Any]:
    places = [(account, region, backend) for account, region, backend in ec2_backends.iter_backends()]
    return {
        "instances": [entry for place in places for entry in _instances(*place)],
        "volumes": [entry for place in places for entry in _volumes(*place)],
        "snapshots": [entry for place in places for entry in _snapshots(*place)],
        "grants": [
            {"account": account, "region": region, "key": key.arn, "grantee": grant.grantee_principal}
            for account, region, backend in kms_backends.iter_backends()
            for key in backend.keys.values()
            for grant in key.grants.values()
        ],
        "loopDevices": lab.loop_devices.all(),
        "disks": lab.disks.ids(),
        "agents": lab.agents.pids(),
    }


def _instances(account: str, region: str, backend: EC2Backend) -> list[dict[str, Any]]:
    """Leaves out terminated instances: EC2 describes them for another hour, but they use nothing."""
    return [
        {"account": account, "region": region, "id": instance.id, "state": instance.state, "tags": tags_of(instance)}
        for instance in backend.all_instances()
        if instance.state != "terminated"
    ]


def _volumes(account: str, region: str, backend: EC2Backend) -> list[dict[str, Any]]:
    return [
        {
            "account": account,
            "region": region,
            "id": volume.id,
            "state": volume.status,
            "whyFailed": volume.why_failed,
            "key": volume.kms_key_id,
            "attachedTo": volume.attachment.instance.id if volume.attachment else None,
            "tags": tags_of(volume),
        }
        for volume in backend.volumes.values()
    ]


def _snapshots(account: str, region: str, backend: EC2Backend) -> list[dict[str, Any]]:
    return [
        {
            "account": account,
            "region": region,
            "id": snapshot.id,
            "state": snapshot.status,
            "key": snapshot.kms_key_id,
            "sharedWith": sorted(snapshot.create_volume_permission_userids),
            "tags": tags_of(snapshot),
        }
        for snapshot in backend.snapshots.values()
        if isinstance(snapshot, LabSnapshot)
    ]
