"""
Effects on workers: their agent dies or hangs, they are terminated, or interrupted as spot instances are.
"""

from datetime import datetime, timedelta, timezone

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason

from .lab import Lab

_JOB_TAG = "blockferry:job"
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_SPOT = StateReason("Server.SpotInstanceTermination: Spot instance termination", "Server.SpotInstanceTermination")


def apply_worker_effect(lab: Lab, effect: str, worker: str | None = None) -> None:
    """
    @param worker id of an instance, or `launched` for instances that jobs launched; None for all with an
    agent
    """
    for instance_id in _struck(lab, worker):
        if effect == "kill-agent":
            lab.agents.kill(instance_id)
        elif effect == "hang-agent":
            lab.agents.hang(instance_id)
        elif effect == "terminate-worker":
            _terminate(instance_id)
        elif effect == "spot-interrupt":
            _interrupt(lab, instance_id)
        else:
            raise ValueError(f"There is no effect {effect} on workers")


def _struck(lab: Lab, worker: str | None) -> list[str]:
    if worker is None:
        return lab.agents.instance_ids()
    if worker != "launched":
        return [worker]
    return [
        instance.id
        for _, _, backend in ec2_backends.iter_backends()
        for instance in backend.all_instances()
        if instance.state != "terminated" and any(tag["key"] == _JOB_TAG for tag in instance.get_tags())
    ]


def _interrupt(lab: Lab, instance_id: str) -> None:
    notice_seconds = lab.settings.spot_notice_ms / 1000
    imds = lab.agents.imds_of(instance_id)
    if imds is not None:
        imds.interrupt(datetime.now(timezone.utc) + timedelta(seconds=notice_seconds))
    lab.schedule.after(notice_seconds, lambda: _terminate(instance_id, _SPOT))


def _terminate(instance_id: str, reason: StateReason | None = None) -> None:
    """@param reason None for a termination that a caller requested"""
    for _, _, backend in ec2_backends.iter_backends():
        instance = backend.get_instance_by_id(instance_id)
        if instance is not None and instance.state != "terminated":
            backend.terminate_instances([instance_id])
            instance.state_reason = reason or instance.state_reason
