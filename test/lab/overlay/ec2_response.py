"""EC2's actions for which moto reads too little of the request, or returns too little."""

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import VolumeAttachment
from moto.ec2.responses import EC2Response
from moto.ec2.utils import generic_filter

from .key_access import default_ebs_key
from .snapshots import SharedSnapshot, exists, owned_by, visible_snapshots


_IMAGE_SIZE_GIB = 8


class LabEc2Response(EC2Response):
    def _parse_block_device_mapping(self) -> list[dict[str, Any]]:
        """Adds the size of the root volume from the image when the launch does not set it."""
        for mapping in self._get_param("BlockDeviceMappings", []):
            if "Ebs" in mapping and "SnapshotId" not in mapping["Ebs"]:
                mapping["Ebs"].setdefault("VolumeSize", _IMAGE_SIZE_GIB)
        return super()._parse_block_device_mapping()

    def attach_volume(self) -> ActionResult:
        self.error_on_dryrun()
        attachment = self.ec2_backend.request_attachment(
            self._get_param("VolumeId"), self._get_param("InstanceId"), self._get_param("Device")
        )
        return ActionResult(_attachment_result(attachment))

    def detach_volume(self) -> ActionResult:
        self.error_on_dryrun()
        attachment = self.ec2_backend.request_detachment(
            self._get_param("VolumeId"),
            self._get_param("InstanceId"),
            self._get_param("Device"),
            self._get_bool_param("Force", False),
        )
        return ActionResult(_attachment_result(attachment))

    def create_snapshots(self) -> ActionResult:
        self.error_on_dryrun()
        specification = self._get_param("InstanceSpecification", {})
        instance = self.ec2_backend.get_instance(specification["InstanceId"])
        excluded = set(specification.get("ExcludeDataVolumeIds", []))
        without_boot = str(specification.get("ExcludeBootVolume", False)).lower() == "true"
        mappings = instance.get_block_device_mapping
        # InstanceSpecification, ExcludeDataVolumeIds: "If you specify the ID of the root volume, the request
        # fails."
        if any(mapping.volume_id in excluded for device, mapping in mappings if device == instance.root_device_name):
            raise EC2ClientError("InvalidParameterValue", "The root volume cannot be excluded as a data volume.")
        tags = self._parse_tag_specification().get("snapshot", {})
        snapshots = []
        for device, mapping in mappings:
            if mapping.volume_id in excluded or (without_boot and device == instance.root_device_name):
                continue
            snapshot = self.ec2_backend.create_snapshot(mapping.volume_id, self._get_param("Description", ""))
            if self._get_param("CopyTagsFromSource") == "volume":
                snapshot.add_tags({tag["key"]: tag["value"] for tag in snapshot.volume.get_tags()})
            snapshot.add_tags(tags)
            snapshots.append(snapshot)
        return ActionResult({"Snapshots": snapshots})

    def describe_snapshots(self) -> ActionResult:
        self.error_on_dryrun()
        snapshots = visible_snapshots(self.current_account, self.region)
        snapshots = owned_by(snapshots, self._get_param("OwnerIds", []), self.current_account)
        ids = self._get_param("SnapshotIds", [])
        self._require_existing(ids)
        found = [
            snapshot if snapshot.owner_id == self.current_account else SharedSnapshot(snapshot)
            for snapshot in snapshots
            if not ids or snapshot.id in ids
        ]
        filters = self._filters_from_querystring()
        matching = generic_filter(filters, found) if filters else found
        return ActionResult({"Snapshots": self.ec2_backend.lab.new_ids.listed(matching, lambda one: one.id)})

    def describe_volumes(self) -> ActionResult:
        self.error_on_dryrun()
        volumes = self.ec2_backend.describe_volumes(self._get_param("VolumeIds", []), self._filters_from_querystring())
        return ActionResult({"Volumes": self.ec2_backend.lab.new_ids.listed(volumes, lambda one: one.id)})

    def describe_instances(self) -> ActionResult:
        """Each reservation has one instance."""
        result: dict[str, Any] = super().describe_instances().result
        seen = self.ec2_backend.lab.new_ids.listed(result["Reservations"], lambda one: one.instances[0].id)
        return ActionResult({**result, "Reservations": seen})

    def _require_existing(self, ids: list[str]) -> None:
        """
        "If you specify an invalid snapshot ID, an error is returned. If you specify a snapshot ID for which you do not have
        access, it is not included in the returned results."
        """
        for snapshot_id in ids:
            if not exists(self.region, snapshot_id):
                raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        """Returns aws/ebs, unless the account chose another key for this Region."""
        self.error_on_dryrun()
        chosen = self.ec2_backend.default_kms_key_id
        return ActionResult({"KmsKeyId": chosen or default_ebs_key(self.current_account, self.region).arn})

    def reset_ebs_default_kms_key_id(self) -> ActionResult:
        self.error_on_dryrun()
        self.ec2_backend.default_kms_key_id = ""
        return ActionResult({"KmsKeyId": default_ebs_key(self.current_account, self.region).arn})

    def reset_snapshot_attribute(self) -> ActionResult:
        self.error_on_dryrun()
        snapshot = self.ec2_backend.get_snapshot(self._get_param("SnapshotId"))
        snapshot.create_volume_permission_userids.clear()
        snapshot.create_volume_permission_groups.clear()
        return EmptyResult()


def _attachment_result(attachment: VolumeAttachment) -> dict[str, object]:
    return {
        "VolumeId": attachment.volume.id,
        "InstanceId": attachment.instance.id,
        "Device": attachment.device,
        "State": attachment.status,
        "AttachTime": attachment.attach_time,
    }

