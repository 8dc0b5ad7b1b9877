"""Tags before their last removal, which a caller may still see for a moment (eventual consistency)."""

from collections.abc import Iterator
from contextlib import contextmanager

from moto.ec2.models import ec2_backends
from moto.ec2.models.tags import TagBackend


class LabTagBackend(TagBackend):
    @property
    def tags_before(self) -> dict[str, dict[str, str]]:
        """
        By resource. Created here, because moto's backends call only the initializers of their own parts.
        """
        before: dict[str, dict[str, str]] = vars(self).setdefault("_tags_before", {})
        return before

    def delete_tags(self, resource_ids: list[str], tags: dict[str, str]) -> bool:
        self.tags_before.update({resource_id: dict(self.tags[resource_id]) for resource_id in resource_ids})
        return super().delete_tags(resource_ids, tags)


@contextmanager
def tags_as_before() -> Iterator[None]:
    """Only the call inside sees them, because the lab is locked meanwhile."""
    backends = [backend for _, _, backend in ec2_backends.iter_backends()]
    now = [{one: dict(backend.tags[one]) for one in backend.tags_before} for backend in backends]
    for backend in backends:
        backend.tags.update({one: dict(tags) for one, tags in backend.tags_before.items()})
    try:
        yield
    finally:
        for backend, tags in zip(backends, now):
            backend.tags.update(tags)
