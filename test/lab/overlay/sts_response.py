"""AssumeRole for existing roles, if the call has the external id that their trust policy requires."""

import json

from moto.core.responses import ActionResult
from moto.sts.exceptions import STSClientError
from moto.sts.responses import TokenResponse

from .aws_call import CURRENT_CALL
from .principals import iam_of


class LabStsResponse(TokenResponse):
    def assume_role(self) -> ActionResult:
        arn = self._get_param("RoleArn")
        account = arn.split(":")[4]
        role = next((role for role in iam_of(account).get_roles() if role.arn == arn), None)
        wanted = _external_id(role.assume_role_policy_document) if role else None
        if role is None or wanted not in (None, self._get_param("ExternalId")):
            caller = CURRENT_CALL.get().caller.arn
            message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            raise STSClientError("AccessDenied", message)
        return super().assume_role()


def _external_id(trust_policy: str) -> str | None:
    for statement in json.loads(trust_policy)["Statement"]:
        wanted = statement.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId")
        if wanted is not None:
            return str(wanted)
    return None
