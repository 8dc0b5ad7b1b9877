"""The resources that a call names, in their state when it arrives: IAM decides by them."""

import re
from typing import Any

from moto.ec2.models import EC2Backend, ec2_backends

from .aws_call import AwsCall
from .principals import iam_of

_ID = re.compile(r"^(vol|snap|i)-[0-9a-f]+$")


def named_resources(call: AwsCall) -> dict[str, dict[str, Any]]:
    """Returns resources by id, in all accounts and Regions, together with their attached resources."""
    if call.service != "ec2":
        return {}
    ids = {value for value in call.parameters.values() if isinstance(value, str) and _ID.match(value)}
    found = _found(ids)
    attached = {resource_id for facts in found.values() for resource_id in facts["attached"]}
    return _found(attached) | found | _profile(call)


def _found(ids: set[str]) -> dict[str, dict[str, Any]]:
    return {
        resource_id: {"account": account, "region": region, **facts}
        for account, region, backend in ec2_backends.iter_backends()
        for resource_id in ids
        if (facts := _facts(backend, resource_id)) is not None
    }


def _profile(call: AwsCall) -> dict[str, dict[str, Any]]:
    name = call.parameters.get("IamInstanceProfile.Name")
    if name is None:
        return {}
    roles = [role.arn for role in iam_of(call.caller.account).get_instance_profile(name).roles]
    return {name: {"account": call.account, "region": call.region, "tags": {}, "attached": roles}}


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
