"""The instance metadata service of one machine (EC2 User Guide, "Use IMDSv2").

It gives tokens and checks them, but does not insist on one: cloud-init asks for a token only where it
recognises the hardware of EC2, which a container cannot pretend.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aws_emulator.machines.http_endpoint import Handler, HttpEndpoint

_TTL_HEADER: Final = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
ROLE: Final = "instance-role"


@dataclass(frozen=True)
class RoleCredentials:
    """Temporary credentials of an instance's role."""

    access_key_id: str = field(default_factory=lambda: "ASIA" + secrets.token_hex(8).upper())
    secret_access_key: str = field(default_factory=lambda: secrets.token_hex(20))
    session_token: str = field(default_factory=lambda: secrets.token_hex(60))


@dataclass(frozen=True)
class Identity:
    """The identity of a machine.

    Attributes:
        instance_id: as EC2 gives it.
        region: where it is.
        account_id: whose it is.
        user_data: what cloud-init runs.
        public_key: a line for authorized_keys, or empty.
        credentials: of its role, or None for an instance without a profile.
        tags: those of the instance, where its metadata have them (InstanceMetadataTags), else None.
    """

    instance_id: str
    region: str = "us-east-1"
    account_id: str = "123456789012"
    user_data: str = ""
    public_key: str = ""
    credentials: RoleCredentials | None = field(default_factory=RoleCredentials)
    tags: Mapping[str, str] | None = None

    def tree(self) -> dict[str, Any]:
        """The categories of metadata, as nested dictionaries."""
        keys = {"0=operator": {"openssh-key": self.public_key}} if self.public_key else {}
        roles = {"security-credentials": {ROLE: _shown(self.credentials)}} if self.credentials else {}
        name = f"ip-172-31-0-10.{self.region}.compute.internal"
        return {
            "ami-id": "ami-0123456789abcdef0",
            "hostname": name,
            "instance-id": self.instance_id,
            "instance-type": "m7i.large",
            "local-hostname": name,
            "local-ipv4": "172.31.0.10",
            "mac": "02:00:00:00:00:0a",
            "placement": {"availability-zone": f"{self.region}a", "region": self.region},
            **({"public-keys": keys} if keys else {}),
            **({"iam": roles} if roles else {}),
            **({"tags": {"instance": dict(self.tags)}} if self.tags is not None else {}),
        }

    def document(self) -> str:
        """The instance identity document."""
        return json.dumps({
            "accountId": self.account_id,
            "architecture": "x86_64",
            "availabilityZone": f"{self.region}a",
            "instanceId": self.instance_id,
            "region": self.region,
        })  # fmt: skip


def _shown(credentials: RoleCredentials) -> str:
    now = datetime.now(UTC)
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.session_token,
            "Expiration": f"{now + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}",
        }
    )


class MetadataService(HttpEndpoint):
    """Serves the metadata of one machine on a socket in its network namespace."""

    def __init__(self, listener: socket.socket, identity: Identity) -> None:
        self.identity = identity
        self.tokens: dict[str, float] = {}
        super().__init__(listener, _MetadataHandler)


class _MetadataHandler(Handler):
    server: MetadataService

    def do_PUT(self) -> None:  # noqa: N802 - the standard library's name
        if self.path != "/latest/api/token":
            self.reply(404, b"")
            return
        lifetime = int(self.headers.get(_TTL_HEADER, "0"))
        token = secrets.token_urlsafe(40)
        self.server.tokens[token] = time.monotonic() + lifetime
        self.reply(200, token.encode(), {_TTL_HEADER: str(lifetime)})

    def do_GET(self) -> None:  # noqa: N802 - the standard library's name
        token = self.headers.get(_TOKEN_HEADER)
        if token is not None and self.server.tokens.get(token, 0.0) < time.monotonic():
            self.reply(401, b"")
            return
        # Every version of the service answers alike.
        _, _, path = self.path.lstrip("/").partition("/")
        body = self._look_up(path)
        self.reply(404 if body is None else 200, (body or "").encode(), {"Content-Type": "text/plain"})

    def _look_up(self, path: str) -> str | None:
        identity = self.server.identity
        if path.rstrip("/") == "user-data":
            return identity.user_data or None
        if path == "dynamic/instance-identity/document":
            return identity.document()
        category, _, rest = path.partition("/")
        if category != "meta-data":
            return "dynamic\nmeta-data\nuser-data" if not path else None
        found: Any = identity.tree()
        for name in filter(None, rest.split("/")):
            # A key is listed as `0=name` and found as `0`.
            keys = {key.partition("=")[0]: key for key in found} if isinstance(found, dict) else {}
            if name not in keys:
                return None
            found = found[keys[name]]
        if isinstance(found, dict):
            return "\n".join(
                key + ("/" if isinstance(each, dict) and "=" not in key else "")
                for key, each in found.items()
            )
        return str(found)
