"""Attachments with EC2's checks, the states `attaching` and `detaching`, and a loop device for each."""

from typing import TYPE_CHECKING

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import VolumeAttachment
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance

from .aws_call import CURRENT_CALL
from .disks import GIB
from .volumes import LabVolume

if TYPE_CHECKING:
    from .lab import Lab

_ATTACHABLE_STATES = ("running", "stopped", "stopping")


class LabAttachmentBackend:
    lab: "Lab"

    def attach_volume(
        self, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False
    ) -> VolumeAttachment:
        """Attaches at once, as in the launch of an instance."""
        volume = self.get_volume(volume_id)
        volume.made = "available"
        attachment = super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)
        self._plug_in(volume, attachment)
        return attachment

    def detach_volume(self, volume_id: str, instance_id: str, device_path: str | None) -> VolumeAttachment:
        """Detaches at once, as at the end of an instance."""
        device = self.lab.loop_devices.all().get(volume_id)
        attachment = super().detach_volume(volume_id, instance_id, device_path)
        if device is not None:
            self.lab.instance_files.remove(instance_id, device)
        self.lab.loop_devices.detach(volume_id)
        return attachment

    def request_attachment(self, volume_id: str, instance_id: str, device_path: str) -> VolumeAttachment:
        volume = self.get_volume(volume_id)
        self._check_attachment(volume, instance_id, device_path)
        attachment = super().attach_volume(volume_id, instance_id, device_path)
        attachment.status = "attaching"
        if "never-attach" not in CURRENT_CALL.get().effects:
            self.lab.soon(lambda: self._finish_attachment(volume, attachment))
        return attachment

    def request_detachment(
        self, volume_id: str, instance_id: str | None, device_path: str | None, force: bool
    ) -> VolumeAttachment:
        attachment = self.get_volume(volume_id).attachment
        if attachment is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
        if instance_id not in (None, attachment.instance.id) or device_path not in (None, attachment.device):
            raise EC2ClientError("InvalidAttachment.NotFound", f"Volume '{volume_id}' is not attached there.")
        instance = attachment.instance
        if attachment.device == instance.root_device_name and instance.state == "running":
            message = f"Unable to detach root volume '{volume_id}' from instance '{instance.id}'"
            raise EC2ClientError("OperationNotPermitted", message)
        attachment.status = "detaching"
        self.lab.soon(lambda: self._finish_detachment(attachment, force))
        return attachment

    def _check_attachment(self, volume: LabVolume, instance_id: str, device_path: str) -> None:
        instance = self.get_instance(instance_id)
        if volume.attachment is not None:
            message = f"{volume.id} is already attached to an instance"
            raise EC2ClientError("VolumeInUse", message)
        if volume.status != "available":
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
        if instance.state not in _ATTACHABLE_STATES:
            raise EC2ClientError("IncorrectState", f"Instance '{instance_id}' is not 'running'.")
        if volume.zone.name != instance.placement.zone:
            message = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance_id}'"
            raise EC2ClientError("InvalidVolume.ZoneMismatch", message)
        if device_path in instance.block_device_mapping:
            message = f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use"
            raise EC2ClientError("InvalidParameterValue", message)
        limit = self.lab.settings.attach_limit or attach_limit(instance)
        if len(instance.block_device_mapping) >= limit:
            raise EC2ClientError("AttachmentLimitExceeded", f"Volume count exceeds the limit of {limit}.")

    def _finish_attachment(self, volume: LabVolume, attachment: VolumeAttachment) -> None:
        if volume.attachment is attachment and attachment.status == "attaching":
            self._plug_in(volume, attachment)
            attachment.status = "attached"

    def _finish_detachment(self, attachment: VolumeAttachment, force: bool) -> None:
        """
        Detaches. For a mounted volume this "can be delayed indefinitely until you unmount the volume, force
        detachment".
        """
        volume = attachment.volume
        if volume.attachment is not attachment:
            return
        if not force and self.lab.loop_devices.is_mounted(volume.id):
            attachment.status = "busy"
            self.lab.soon(lambda: self._finish_detachment(attachment, force))
            return
        self.detach_volume(volume.id, attachment.instance.id, attachment.device)

    def _plug_in(self, volume: LabVolume, attachment: VolumeAttachment) -> None:
        instance = attachment.instance
        device = self.lab.loop_devices.attach(volume.id, self.lab.disks.path(volume.id))
        size_bytes = volume.size * GIB
        if INSTANCE_TYPES[instance.instance_type]["Hypervisor"] == "nitro":
            self.lab.instance_files.add_nvme(instance.id, volume.id, device, size_bytes)
        else:
            self.lab.instance_files.add_xen(instance.id, attachment.device, device, size_bytes)


def attach_limit(instance: Instance) -> int:
    """
    Returns the limit. A dedicated limit "is not shared with other device attachments"; any other limit also
    counts network interfaces: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/volume_limits.html
    """
    info = INSTANCE_TYPES[instance.instance_type]["EbsInfo"]
    limit = info["MaximumEbsAttachments"]
    return limit if info["AttachmentLimitType"] == "dedicated" else limit + 1 - len(instance.nics)
