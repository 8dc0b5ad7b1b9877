"""The EC2 of one account and Region, with all additions of the overlay."""

from moto.ec2.models import EC2Backend

from .attachments import LabAttachmentBackend
from .instances import LabInstanceBackend
from .lab import Lab
from .snapshots import LabSnapshotBackend
from .tags import LabTagBackend
from .volumes import LabVolumeBackend


def ec2_backend_of(lab: Lab) -> type[EC2Backend]:
    """The backend of EC2. Moto makes the backends itself, so the lab is an attribute of their class."""
    bases = (LabAttachmentBackend, LabVolumeBackend, LabSnapshotBackend, LabInstanceBackend, LabTagBackend, EC2Backend)
    # Moto finds a service's URLs by the module of its backend.
    return type("LabEc2Backend", bases, {"lab": lab, "__module__": EC2Backend.__module__})
