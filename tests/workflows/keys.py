"""Keys of the emulated account, with ARNs that are known before the account exists."""

from __future__ import annotations

from typing import Any

from moto.kms.models import kms_backends

ACCOUNT = "123456789012"
REGION = "us-east-1"


def key_arn(number: int) -> str:
    """The ARN of the n-th key."""
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-{number:012}"


def make_key(kms: Any, number: int) -> str:
    """Create the n-th key, unless it is there."""
    arn, keys = key_arn(number), kms_backends[ACCOUNT][REGION].keys
    key_id = arn.rpartition("/")[2]
    if key_id not in keys:
        key = keys.pop(kms.create_key()["KeyMetadata"]["KeyId"])
        key.id, key.arn = key_id, arn
        keys[key_id] = key
    return arn
