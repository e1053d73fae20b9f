"""boto3 clients, made when they are first needed and once per process."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config

USER_AGENT: Final = "app/ami-lifecycle"
CONNECT_TIMEOUT_SECONDS: Final = 3
READ_TIMEOUT_SECONDS: Final = 10


@cache
def client(service: str, *, attempts: int = 4) -> Any:
    """The low-level client of a service, in the process's own account and Region.

    `attempts` counts the first one. With 1, an answer that was lost reaches the caller as
    `ServiceUnavailableError`; that is for calls which have no client token and must not happen twice.
    """
    return boto3.client(
        service,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            user_agent_extra=USER_AGENT,
        ),
    )
