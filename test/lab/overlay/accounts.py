"""
The two accounts. Each has a user with access keys and roles, all allowed everything until a test restricts
them.
"""

import json
from typing import Any

from .imds import AGENT_ROLE
from .principals import iam_of

SOURCE_ACCOUNT = "111111111111"
WORKER_ACCOUNT = "222222222222"
ROLES = ("blockferry-controller", "blockferry-source", AGENT_ROLE)
_POLICY_NAME = "rights"

_EVERYTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


def make_account(account: str, name: str) -> dict[str, str]:
    """Makes an account. @returns the access keys of its user"""
    iam = iam_of(account)
    for role in ROLES:
        iam.create_role(role, _trust(SOURCE_ACCOUNT, WORKER_ACCOUNT), "/", None, "", [], "3600")
        iam.put_role_policy(role, _POLICY_NAME, _EVERYTHING)
    iam.create_instance_profile(AGENT_ROLE, "/", [AGENT_ROLE])
    iam.create_user("us-east-1", name)
    iam.put_user_policy(name, _POLICY_NAME, _EVERYTHING)
    key = iam.create_access_key(name)
    return {"accountId": account, "accessKeyId": key.access_key_id, "secretAccessKey": key.secret_access_key}


def replace_policy(wanted: dict[str, Any]) -> None:
    """Restricts a role to a policy; without one it may do everything."""
    iam_of(wanted["account"]).put_role_policy(wanted["role"], _POLICY_NAME, json.dumps(wanted["policy"]))


def _trust(*accounts: str) -> str:
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
