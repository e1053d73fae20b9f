"""Secrets Manager, for the secrets whose names a configuration holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from parameter_config.aws_errors import translated
from parameter_config.errors import SecretNotFoundError, StoreRequestError
from parameter_config.rate_limit import Clock
from parameter_config.sensitive import Sensitive


class SecretStore:
    """Reads secrets by name.

    Args:
        client: makes a boto3 Secrets Manager client when it is first needed.
    """

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def read(self, name: str) -> Sensitive:
        """Read the current string of a secret.

        Raises:
            SecretNotFoundError: there is no secret of that name, or it is marked for deletion.
            StoreRequestError: the secret is binary, or the request was refused for another reason.
        """
        with _found(name), translated("secretsmanager:GetSecretValue", name):
            response = self._client().get_secret_value(SecretId=name)
        if "SecretString" not in response:
            raise StoreRequestError(
                "BinarySecret", f"The secret {name!r} is binary.", remedy="Store it as a string."
            )
        return Sensitive(response["SecretString"])

    def exists(self, name: str) -> bool:
        """Whether a secret of that name exists, without reading its value."""
        try:
            with _found(name), translated("secretsmanager:DescribeSecret", name):
                response = self._client().describe_secret(SecretId=name)
        except SecretNotFoundError:
            return False
        return "DeletedDate" not in response


@contextmanager
def _found(name: str) -> Iterator[None]:
    try:
        yield
    except StoreRequestError as error:
        if error.code != "ResourceNotFoundException" and "marked for deletion" not in error.message:
            raise
        raise SecretNotFoundError(
            f"Secrets Manager has no secret {name!r}.",
            remedy=f"Create it: aws secretsmanager create-secret --name {name} --secret-string file://FILE",
        ) from error


class SecretCache:
    """Contents of secrets for a limited time. Safe under threads."""

    def __init__(self, store: SecretStore, ttl_seconds: float, clock: Clock) -> None:
        self._store = store
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: dict[str, tuple[Sensitive, float]] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> Sensitive:
        """The content of a secret; raises what `SecretStore.read` raises."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or self._clock.now() - entry[1] >= self._ttl_seconds:
                entry = (self._store.read(name), self._clock.now())
                self._entries[name] = entry
            return entry[0]

    def expire(self) -> None:
        """Have every secret read again when it is next needed."""
        with self._lock:
            self._entries.clear()
