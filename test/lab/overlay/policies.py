"""Policies in IAM's language, as far as key policies and the roles of a backup need it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from .principals import Principal, identity_policies

Effect = Literal["Allow", "Deny"]


@dataclass(frozen=True)
class Request:
    principal: Principal
    action: str
    """Action with its service: `kms:Decrypt`."""
    resource: str | None = None
    """
    None: resources and conditions do not matter, because the resources of an EC2 call are not distinguished.
    """
    context: dict[str, str] = field(default_factory=dict)


def identity_allows(request: Request) -> bool:
    effects = [effect for text in identity_policies(request.principal) for effect, _ in _matching(text, request)]
    return "Deny" not in effects and "Allow" in effects


def key_policy_allows(policy: str, owner: str, request: Request) -> bool:
    """
    Returns whether a key policy allows a request. It alone can allow a principal of the key's account that it
    names. If it names the account, that account's IAM policies must also allow the request. For a principal
    of another account, both policies must allow it:
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
    """
    named_directly = False
    allowed = False
    for effect, principals in _matching(policy, request):
        match = _principal_match(principals, request.principal)
        if match is None:
            continue
        if effect == "Deny":
            return False
        allowed = True
        named_directly = named_directly or match == "principal"
    if not allowed:
        return False
    return (named_directly and owner == request.principal.account) or identity_allows(request)


def _matching(text: str, request: Request) -> Iterable[tuple[Effect, Any]]:
    """Yields statements that match the request, apart from its principal."""
    for statement in _listed(json.loads(text)["Statement"]):
        if not any(_like(request.action, pattern) for pattern in _listed(statement.get("Action", []))):
            continue
        conditions = statement.get("Condition", {})
        if request.resource is None:
            if conditions and statement["Effect"] == "Deny":
                continue
        elif not (_resource_fits(statement, request.resource) and _conditions_hold(conditions, request.context)):
            continue
        yield statement["Effect"], statement.get("Principal")


def _resource_fits(statement: dict[str, Any], resource: str) -> bool:
    return any(fnmatchcase(resource, pattern) for pattern in _listed(statement.get("Resource", "*")))


def _conditions_hold(conditions: dict[str, Any], context: dict[str, str]) -> bool:
    return all(
        _condition_holds(operator, wanted, context.get(key))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition_holds(operator: str, wanted: Any, actual: str | None) -> bool:
    if actual is None:
        return operator.endswith("IfExists")
    matches = any(fnmatchcase(actual.lower(), str(value).lower()) for value in _listed(wanted))
    return not matches if "Not" in operator else matches


def _principal_match(principals: Any, principal: Principal) -> Literal["account", "principal"] | None:
    names = _listed(principals.get("AWS", [])) if isinstance(principals, dict) else _listed(principals or [])
    if "*" in names or principal.arn in names or principal.identity_arn in names:
        return "principal"
    account = {principal.account, f"arn:aws:iam::{principal.account}:root"}
    return "account" if account.intersection(names) else None


def _like(action: str, pattern: str) -> bool:
    return fnmatchcase(action.lower(), pattern.lower())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
