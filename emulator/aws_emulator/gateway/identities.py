"""Callers: the access keys that the emulator issues, and the name of each."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Final

CLIENT: Final = "client"


@dataclass(frozen=True)
class Identity:
    """A caller.

    Attributes:
        name: logical name in the template (`PlanBuild`, `BuildImage`), or `client` for anybody else.
        role_arn: the role it acts in, None for callers outside the template.
    """

    name: str
    access_key_id: str
    role_arn: str | None


class Identities:
    """The access keys of the functions, state machines, rules and schedules."""

    def __init__(self) -> None:
        self._by_key: dict[str, Identity] = {}
        self._by_name: dict[str, Identity] = {}
        self._aliases: dict[str, str] = {}
        self._lock = threading.Lock()

    def issue(self, name: str, role_arn: str | None = None) -> Identity:
        """The identity of a name, made at the first call."""
        with self._lock:
            known = self._by_name.get(name)
            if known is not None and known.role_arn == role_arn:
                return known
            digest = hashlib.sha256(name.encode()).hexdigest().upper()
            identity = Identity(name, f"ASIA{digest[:16]}", role_arn)
            self._by_name[name] = self._by_key[identity.access_key_id] = identity
            return identity

    def alias(self, resource_name: str, name: str) -> None:
        """Have a resource's physical name stand for a caller."""
        with self._lock:
            self._aliases[resource_name] = name

    def name_of(self, resource_name: str) -> str:
        """The caller's name of a resource that acts by itself: a rule, a schedule."""
        with self._lock:
            return self._aliases.get(resource_name, resource_name)

    def caller_of(self, access_key_id: str) -> str:
        """The name behind an access key; `client` for one that was not issued here."""
        with self._lock:
            identity = self._by_key.get(access_key_id)
        return identity.name if identity else CLIENT

    def role_of(self, name: str) -> str | None:
        """The role that a caller acts in."""
        with self._lock:
            identity = self._by_name.get(name)
        return identity.role_arn if identity else None

    def names_of_role(self, role_arn: str) -> list[str]:
        """The callers that act in a role."""
        with self._lock:
            return [each.name for each in self._by_name.values() if each.role_arn == role_arn]
