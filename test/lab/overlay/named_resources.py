"""What a call names, as it is when the call comes in: what IAM decides by."""

import re
from typing import Any

from moto.ec2.models import EC2Backend, ec2_backends

from .aws_call import AwsCall

_ID = re.compile(r"^(vol|snap|i)-[0-9a-f]+$")


def named_resources(call: AwsCall) -> dict[str, dict[str, Any]]:
    """By id; in whatever account and Region they are."""
    if call.service != "ec2":
        return {}
    ids = {value for value in call.parameters.values() if isinstance(value, str) and _ID.match(value)}
    found: dict[str, dict[str, Any]] = {}
    for account, region, backend in ec2_backends.iter_backends():
        for resource_id in ids:
            facts = _facts(backend, resource_id)
            if facts is not None:
                found[resource_id] = {"account": account, "region": region, **facts}
    return found


def _facts(backend: EC2Backend, resource_id: str) -> dict[str, Any] | None:
    volume = backend.volumes.get(resource_id)
    if volume is not None:
        attached = [volume.attachment.instance.id] if volume.attachment else []
        return {"tags": tags_of(volume), "attached": attached}
    snapshot = backend.snapshots.get(resource_id)
    if snapshot is not None:
        return {"tags": tags_of(snapshot), "attached": []}
    instance = next((one for one in backend.all_instances() if one.id == resource_id), None)
    if instance is not None:
        volumes = [mapping.volume_id for _, mapping in instance.get_block_device_mapping]
        return {"tags": tags_of(instance), "attached": volumes}
    return None


def tags_of(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}
