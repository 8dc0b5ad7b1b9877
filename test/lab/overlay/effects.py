"""What happens to workers: their agent dies, they are terminated, or reclaimed as spot instances are."""

from datetime import datetime, timedelta, timezone

from moto.ec2.models import ec2_backends

from .lab import Lab


def apply_worker_effect(lab: Lab, effect: str, instance_id: str | None = None) -> None:
    """@param instance_id every instance with an agent when None"""
    for worker in [instance_id] if instance_id else lab.agents.instance_ids():
        if effect == "kill-agent":
            lab.agents.kill(worker)
        elif effect == "terminate-worker":
            _terminate(worker)
        elif effect == "spot-interrupt":
            _interrupt(lab, worker)
        else:
            raise ValueError(f"There is no effect {effect} on workers")


def _interrupt(lab: Lab, instance_id: str) -> None:
    notice_seconds = lab.settings.spot_notice_ms / 1000
    imds = lab.agents.imds_of(instance_id)
    if imds is not None:
        imds.interrupt(datetime.now(timezone.utc) + timedelta(seconds=notice_seconds))
    lab.schedule.after(notice_seconds, lambda: _terminate(instance_id))


def _terminate(instance_id: str) -> None:
    for _, _, backend in ec2_backends.iter_backends():
        instance = backend.get_instance_by_id(instance_id)
        if instance is not None and instance.state != "terminated":
            backend.terminate_instances([instance_id])
