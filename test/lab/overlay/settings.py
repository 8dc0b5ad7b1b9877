"""Settings that a test can change while the lab runs."""

from dataclasses import dataclass
from typing import Any, Literal

_NAMES = {
    "latencyMs": "latency_ms",
    "invisibleMs": "invisible_ms",
    "unusableKey": "unusable_key",
    "attachLimit": "attach_limit",
    "spotNoticeMs": "spot_notice_ms",
    "jobKey": "job_key",
    "replyKey": "reply_key",
}


@dataclass
class Settings:
    latency_ms: int = 100
    """Duration of the states `pending` (snapshot), `creating` (volume) and `attaching` (attachment)."""
    invisible_ms: int = 0
    """Time during which a new id is NotFound and missing in listings."""
    unusable_key: Literal["error", "vanish"] = "error"
    """Fate of a volume whose key can't be used."""
    attach_limit: int | None = None
    """Number of volumes that can be attached to an instance, instead of the limit of its type."""
    spot_notice_ms: int = 500
    """Time from the interruption notice of a spot instance to its end; two minutes in AWS."""
    job_key: str | None = None
    """BLOCKFERRY_JOB_KEY in the images of instances that start from now on; None if unset."""
    reply_key: str | None = None
    """BLOCKFERRY_REPLY_KEY, in the same way."""

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
