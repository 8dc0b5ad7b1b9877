"""The principal of a call, found by its access key."""

from dataclasses import dataclass

from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import sts_backends


@dataclass(frozen=True)
class Principal:
    account: str
    arn: str
    """In the format of GetCallerIdentity."""
    identity_arn: str
    """The role of an assumed role; otherwise the user. Policies are attached to it."""


def iam_of(account: str) -> IAMBackend:
    return iam_backends[account]["aws"]


def principal_of(access_key_id: str) -> Principal | None:
    """Returns None when no account has the key."""
    for account in list(iam_backends):
        key = iam_of(account).access_keys.get(access_key_id)
        if key is None:
            continue
        if key.role_arn is None:
            arn = f"arn:aws:iam::{account}:user/{key.user_name}"
            return Principal(account, arn, arn)
        session = sts_backends[account]["aws"].get_assumed_role_from_access_key(access_key_id)
        return Principal(account, session.arn if session else key.role_arn, key.role_arn)
    return None


def identity_policies(principal: Principal) -> list[str]:
    """Returns the inline and managed policies of the role or user, as JSON."""
    iam = iam_of(principal.account)
    kind, *_path, name = principal.identity_arn.split(":")[5].split("/")
    owner = iam.get_role(name) if kind == "role" else iam.get_user(name)
    managed = [policy.document for policy in owner.managed_policies.values()]
    return [*owner.policies.values(), *managed]
