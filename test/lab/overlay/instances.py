"""
Instances. They are `pending` at first, end when a key can't be used, and run the agent if their user data
name a repository.
"""

from typing import TYPE_CHECKING, Any

from moto.ec2.models.instances import Instance, InstanceState, Reservation, StateReason

if TYPE_CHECKING:
    from .lab import Lab
    from .volumes import LabVolume


# Fate of an instance when the key of its root volume can't be used:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
_KEY_NOT_USABLE = StateReason("Client.InternalError: Client error on launch", "Client.InternalError")


class LabInstanceBackend:
    lab: "Lab"
    volumes: dict[str, "LabVolume"]

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Reservation:
        reservation = super().run_instances(image_id, count, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            self.lab.new_ids.add(instance.id)
            instance._state = InstanceState("pending", 0)
            self.lab.soon(lambda instance=instance: self._boot(instance))
        return reservation

    def terminate_instances(self, instance_ids: list[str]) -> list[tuple[Instance, InstanceState]]:
        for instance in self.get_multi_instances_by_id(instance_ids):
            self.lab.agents.stop(instance.id)
        return super().terminate_instances(instance_ids)

    def _boot(self, instance: Instance) -> None:
        if instance.state != "pending":
            return
        mappings = instance.block_device_mapping.values()
        if any(self.volumes[mapping.volume_id].why_failed is not None for mapping in mappings):
            self.terminate_instances([instance.id])
            instance.state_reason = _KEY_NOT_USABLE
        else:
            instance._state = InstanceState("running", 16)
            self.lab.agents.start(instance)
