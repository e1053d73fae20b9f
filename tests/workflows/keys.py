"""Keys of the emulated account, with ARNs that are known before the account exists."""

from __future__ import annotations

from tests.workflows.conftest import Running

ACCOUNT = "123456789012"
REGION = "us-east-1"


def key_arn(number: int) -> str:
    """The ARN of the n-th key."""
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-{number:012}"


def make_key(running: Running, number: int) -> str:
    """Create the n-th key, unless it is there."""
    arn = key_arn(number)
    key_id = arn.rpartition("/")[2]
    with running.emulator.moto.backend("kms") as backend:
        known = key_id in backend.keys
    if not known:
        made = running.service.client("kms").create_key()["KeyMetadata"]["KeyId"]
        with running.emulator.moto.backend("kms") as backend:
            key = backend.keys.pop(made)
            key.id, key.arn = key_id, arn
            backend.keys[key_id] = key
    return arn
