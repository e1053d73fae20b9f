"""Encryption of new volumes by default, for the account and Region (EC2 API reference)."""

from __future__ import annotations

from aws_emulator.api.operations import Request, Response, operation
from aws_emulator.ec2.requests import refuse_dry_run, supported
from aws_emulator.ec2.store import KEY_OF_AWS, Ec2Store


class Encryption:
    """The operations on the account's settings of encryption."""

    def __init__(self, store: Ec2Store) -> None:
        self._store = store

    @operation("ec2", "EnableEbsEncryptionByDefault")
    def enable_ebs_encryption_by_default(self, request: Request) -> Response:
        """Encrypt new volumes by default."""
        return self._switch_encryption(request, on=True)

    @operation("ec2", "DisableEbsEncryptionByDefault")
    def disable_ebs_encryption_by_default(self, request: Request) -> Response:
        """Encrypt new volumes only where a request or a snapshot says so."""
        return self._switch_encryption(request, on=False)

    def _switch_encryption(self, request: Request, *, on: bool) -> Response:
        with self._store.lock:
            supported(request)
            refuse_dry_run(request)
            self._store.encrypts_by_default = on
            return {"EbsEncryptionByDefault": on}

    @operation("ec2", "GetEbsEncryptionByDefault")
    def get_ebs_encryption_by_default(self, request: Request) -> Response:
        """Whether new volumes are encrypted by default."""
        with self._store.lock:
            supported(request)
            return {"EbsEncryptionByDefault": self._store.encrypts_by_default, "SseType": "none"}

    @operation("ec2", "GetEbsDefaultKmsKeyId")
    def get_ebs_default_kms_key_id(self, request: Request) -> Response:
        """The default key, whether volumes are encrypted by default or not."""
        with self._store.lock:
            supported(request)
            return {"KmsKeyId": self._store.default_volume_key}

    @operation("ec2", "ModifyEbsDefaultKmsKeyId")
    def modify_ebs_default_kms_key_id(self, request: Request) -> Response:
        """Make another key the default."""
        with self._store.lock:
            key = supported(request, "KmsKeyId")["KmsKeyId"]
            refuse_dry_run(request)
            self._store.default_volume_key = (
                key
                if key.startswith("arn:")
                else f"arn:aws:kms:{self._store.region}:{self._store.account_id}:key/{key}"
            )
            return {"KmsKeyId": self._store.default_volume_key}

    @operation("ec2", "ResetEbsDefaultKmsKeyId")
    def reset_ebs_default_kms_key_id(self, request: Request) -> Response:
        """Make the key of AWS the default again."""
        with self._store.lock:
            supported(request)
            refuse_dry_run(request)
            self._store.default_volume_key = KEY_OF_AWS
            return {"KmsKeyId": self._store.default_volume_key}
