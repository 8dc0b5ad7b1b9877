"""KMS that also serves keys of other accounts, if key policy, grants and the caller's policies allow it."""

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend, kms_backends
from moto.kms.responses import KmsResponse

from .aws_call import CURRENT_CALL
from .key_access import find_key, may_use

_CRYPTOGRAPHIC_ACTIONS = (
    *("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    *("GenerateMac", "VerifyMac"),
)
"""Actions that moto also performs with a disabled key."""


class LabKmsResponse(KmsResponse):
    @property
    def kms_backend(self) -> KmsBackend:
        """The backend of the key's account: a key of another account is named by its ARN."""
        name = self._key_name()
        if name is not None and name.startswith("arn:"):
            region, account = name.split(":")[3:5]
            if region != self.region:
                raise JsonRESTError("NotFoundException", f"Invalid arn {region}")
            return kms_backends[account][region]
        return kms_backends[self.current_account][self.region]

    def call_action(self) -> Any:
        caller = CURRENT_CALL.get().caller
        name = self._key_name()
        key = find_key(caller.account, self.region, name) if name is not None else None
        action = self._get_action()
        if key is not None and not may_use(caller, key, action, more=self._encryption_context()):
            message = (
                f"User: {caller.arn} is not authorized to perform: kms:{action} on resource: {key.arn} "
                "because no resource-based policy allows it, or no identity-based one"
            )
            error = JsonRESTError("AccessDeniedException", message)
            return 400, dict(error.get_headers()), error.description
        if key is not None and key.key_state != "Enabled" and action in _CRYPTOGRAPHIC_ACTIONS:
            disabled = JsonRESTError("DisabledException", f"{key.arn} is disabled.")
            return 400, dict(disabled.get_headers()), disabled.description
        return super().call_action()

    def _encryption_context(self) -> dict[str, str]:
        """Returns condition keys, as in "kms:EncryptionContext:context-key" of the KMS Developer Guide."""
        pairs = super()._get_param("EncryptionContext") or {}
        return {f"kms:EncryptionContext:{name}": value for name, value in pairs.items()}

    def _validate_key_policy(self, key_id: str, action: str) -> None:
        """Does nothing: `call_action` already checks every action."""

    def _get_param(self, param_name: str, if_none: Any = None) -> Any:
        """Resolves the key: moto's actions expect its id, or look up its ARN."""
        value = super()._get_param(param_name, if_none)
        return self.kms_backend.get_key_id(value) if param_name == "KeyId" and value else value

    def _key_name(self) -> str | None:
        """The key as the caller named it."""
        return super()._get_param("KeyId") if self.body else None
