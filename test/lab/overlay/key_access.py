"""Whether a principal can use a KMS key, itself or through EBS."""

import json

from moto.kms.models import Key, kms_backends

from .aws_call import CURRENT_CALL
from .policies import Request, key_policy_allows
from .principals import Principal

_EBS_ACTIONS = (
    "DescribeKey",
    "CreateGrant",
    "Decrypt",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
)
"""
Actions of EBS on a key in the name of a caller who makes a volume or copies a snapshot. EBS performs them on
the snapshot's key and on the new key. "You must grant users permission to call the following actions in order
to use EBS encryption": https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
"""

_MANAGED_KEY_ACTIONS = ("Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "DescribeKey")

_EBS_ALIAS = "alias/aws/ebs"


def find_key(account: str, region: str, name: str) -> Key | None:
    """Finds a key by its ARN in any account and Region, or by id or alias in the caller's."""
    if name.startswith("arn:"):
        region, account = name.split(":")[3:5]
    backend = kms_backends[account][region]
    alias = backend.get_alias_name(name)
    if alias == _EBS_ALIAS:
        return default_ebs_key(account, region)
    if alias.startswith("alias/"):
        return next((key for key in backend.keys.values() if alias in key.aliases), None)
    return backend.keys.get(backend.get_key_id(name))


def default_ebs_key(account: str, region: str) -> Key:
    """Returns the AWS managed key aws/ebs of an account and Region, made at its first use."""
    backend = kms_backends[account][region]
    for key in backend.keys.values():
        if _EBS_ALIAS in key.aliases:
            return key
    policy = _ebs_key_policy(account, region)
    description = "Default key that protects my EBS volumes when no other key is defined"
    key = backend.create_key(policy, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", description, None)
    key.key_manager = "AWS"
    backend.create_alias(key.id, _EBS_ALIAS)
    return key


def disable_key(arn: str) -> None:
    region, account = arn.split(":")[3:5]
    backend = kms_backends[account][region]
    backend.disable_key(backend.get_key_id(arn))


def may_use(
    principal: Principal, key: Key, action: str, through_ebs: bool = False, more: dict[str, str] | None = None
) -> bool:
    """@param more condition keys, in addition to those of the caller and of EBS"""
    context = {"kms:CallerAccount": principal.account} | (more or {})
    if through_ebs:
        context |= {"kms:ViaService": ebs_of(key.region), "kms:GrantIsForAWSResource": "true"}
    request = Request(principal, f"kms:{action}", key.arn, context)
    return _granted(principal, key, action) or key_policy_allows(key.policy, key.account_id, request)


def ebs_of(region: str) -> str:
    """The name that KMS has for EBS in a Region."""
    return f"ec2.{region}.amazonaws.com"


def why_ebs_can_not(principal: Principal, region: str, key: Key | None) -> str | None:
    """Returns the reason why EBS can't use the key for this principal; None when it can."""
    if key is None:
        return "there is no such key"
    if key.region != region:
        return f"key {key.arn} is in another Region"
    if key.key_state != "Enabled":
        return f"key {key.arn} is {key.key_state}"
    CURRENT_CALL.get().key_uses.extend((action, key.arn) for action in _EBS_ACTIONS)
    missing = [action for action in _EBS_ACTIONS if not may_use(principal, key, action, through_ebs=True)]
    return f"{principal.identity_arn} lacks {', '.join(missing)} on {key.arn}" if missing else None


def _granted(principal: Principal, key: Key, action: str) -> bool:
    names = {principal.arn, principal.identity_arn, f"arn:aws:iam::{principal.account}:root"}
    return any(grant.grantee_principal in names and action in grant.operations for grant in key.grants.values())


def _ebs_key_policy(account: str, region: str) -> str:
    """
    The policy that AWS writes: all principals of the account, only through EC2; DescribeKey and similar also
    directly.
    """
    via_ec2 = {"kms:CallerAccount": account, "kms:ViaService": ebs_of(region)}
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [f"kms:{name}" for name in _MANAGED_KEY_ACTIONS],
            "Resource": "*",
            "Condition": {"StringEquals": via_ec2},
        },
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
            "Resource": "*",
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Id": "auto-ebs-2", "Statement": statements})
