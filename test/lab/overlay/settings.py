"""What a test can change while the lab runs."""

from dataclasses import dataclass
from typing import Any, Literal

_NAMES = {
    "latencyMs": "latency_ms",
    "invisibleMs": "invisible_ms",
    "unusableKey": "unusable_key",
    "attachLimit": "attach_limit",
    "spotNoticeMs": "spot_notice_ms",
    "jobKey": "job_key",
}


@dataclass
class Settings:
    latency_ms: int = 100
    """How long a snapshot is `pending`, a volume `creating`, an attachment `attaching`."""
    invisible_ms: int = 0
    """How long a new id is NotFound, and in no listing."""
    unusable_key: Literal["error", "vanish"] = "error"
    """What becomes of a volume whose key can't be used."""
    attach_limit: int | None = None
    """Volumes that an instance takes, instead of what its type says."""
    spot_notice_ms: int = 500
    """Time between the interruption notice of a spot instance, two minutes in AWS, and its end."""
    job_key: str | None = None
    """What the images of instances that start from now on have for BLOCKFERRY_JOB_KEY; None for nothing."""

    @property
    def latency_seconds(self) -> float:
        return self.latency_ms / 1000

    def change(self, wanted: dict[str, Any]) -> None:
        for name, value in wanted.items():
            if name not in _NAMES:
                raise ValueError(f"There is no setting {name}")
            setattr(self, _NAMES[name], value)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, attribute) for name, attribute in _NAMES.items()}
