"""
Chooses the key of a volume or snapshot copy, and checks whether its maker can use it. "Amazon Web Services
authenticates the KMS key asynchronously. Therefore, if you specify an ID, alias, or ARN that is not valid,
the action can appear to complete, but eventually fails":
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
"""

from dataclasses import dataclass

from moto.kms.models import Key

from .key_access import default_ebs_key, find_key, why_ebs_can_not
from .principals import Principal


@dataclass(frozen=True)
class Encryption:
    encrypted: bool
    key_name: str | None
    """ARN of the key, or the name in the call when the key does not exist."""
    why_not: str | None
    """The reason why the key can't be used; AWS finds it only after the call has succeeded."""


def choose_encryption(
    principal: Principal,
    region: str,
    default_key: str | None,
    wanted_key: str | None,
    is_wanted: bool,
    source_key: str | None,
) -> Encryption:
    """@param source_key key of the snapshot, if that is encrypted"""
    if not is_wanted and wanted_key is None and source_key is None:
        return Encryption(False, None, None)
    name = wanted_key or default_key
    target = find_key(principal.account, region, name) if name else default_ebs_key(principal.account, region)
    why_not = why_ebs_can_not(principal, region, target)
    if source_key is not None and why_not is None:
        source = find_key(principal.account, region, source_key)
        why_not = why_ebs_can_not(principal, source.region if source else region, source)
    return Encryption(True, target.arn if isinstance(target, Key) else name, why_not)
