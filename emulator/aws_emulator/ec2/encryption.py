"""Encryption of new volumes by default, for the account and Region (EC2 API reference)."""

from __future__ import annotations

from aws_emulator.api.operations import Request, Response, operation
from aws_emulator.ec2.state import KEY_OF_AWS, Ec2State, refuse_dry_run, supported


class Encryption(Ec2State):
    """The operations on the account's settings of encryption."""

    @operation("ec2", "EnableEbsEncryptionByDefault")
    def enable_ebs_encryption_by_default(self, request: Request) -> Response:
        """Encrypt new volumes by default."""
        return self._switch_encryption(request, on=True)

    @operation("ec2", "DisableEbsEncryptionByDefault")
    def disable_ebs_encryption_by_default(self, request: Request) -> Response:
        """Encrypt new volumes only where a request or a snapshot says so."""
        return self._switch_encryption(request, on=False)

    def _switch_encryption(self, request: Request, *, on: bool) -> Response:
        with self.lock:
            supported(request)
            refuse_dry_run(request)
            self.encrypts_by_default = on
            return {"EbsEncryptionByDefault": on}

    @operation("ec2", "GetEbsEncryptionByDefault")
    def get_ebs_encryption_by_default(self, request: Request) -> Response:
        """Whether new volumes are encrypted by default."""
        with self.lock:
            supported(request)
            return {"EbsEncryptionByDefault": self.encrypts_by_default, "SseType": "none"}

    @operation("ec2", "GetEbsDefaultKmsKeyId")
    def get_ebs_default_kms_key_id(self, request: Request) -> Response:
        """The default key, whether volumes are encrypted by default or not."""
        with self.lock:
            supported(request)
            return {"KmsKeyId": self.default_volume_key}

    @operation("ec2", "ModifyEbsDefaultKmsKeyId")
    def modify_ebs_default_kms_key_id(self, request: Request) -> Response:
        """Make another key the default."""
        with self.lock:
            key = supported(request, "KmsKeyId")["KmsKeyId"]
            refuse_dry_run(request)
            self.default_volume_key = (
                key if key.startswith("arn:") else f"arn:aws:kms:{self.region}:{self.account_id}:key/{key}"
            )
            return {"KmsKeyId": self.default_volume_key}

    @operation("ec2", "ResetEbsDefaultKmsKeyId")
    def reset_ebs_default_kms_key_id(self, request: Request) -> Response:
        """Make the key of AWS the default again."""
        with self.lock:
            supported(request)
            refuse_dry_run(request)
            self.default_volume_key = KEY_OF_AWS
            return {"KmsKeyId": self.default_volume_key}
