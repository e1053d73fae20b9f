"""Clients of AWS services, made once per process.

They are botocore's. boto3's clients are the same objects, but importing boto3 brings its resources and its
transfer manager, which takes as long as a third of a cold start and is used by no function.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.config import Config

from ami_lifecycle.adapters.process import current_process

USER_AGENT: Final = "app/ami-lifecycle"
CONNECT_TIMEOUT_SECONDS: Final = 3
READ_TIMEOUT_SECONDS: Final = 10


def client(service: str, *, attempts: int = 4, read_timeout: int = READ_TIMEOUT_SECONDS) -> Any:
    """The low-level client of a service, in the process's own account and Region.

    `attempts` counts the first one. With 1, an answer that was lost reaches the caller as
    `ServiceUnavailableError`; that is for calls which have no client token and must not happen twice.
    `read_timeout` is how many seconds one attempt may take to answer.
    """
    process = current_process()
    made = (service, attempts, read_timeout)
    if made not in process.clients:
        process.clients[made] = _make_client(process.session, service, attempts, read_timeout)
    return process.clients[made]


def _make_client(session: Any, service: str, attempts: int, read_timeout: int) -> Any:
    return session.create_client(
        service,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=read_timeout,
            user_agent_extra=USER_AGENT,
        ),
    )


def prepare_clients(*services: str, **options: int) -> None:
    """Make clients while the function starts, so that no invocation pays for it; `options` as for `client`.

    A process that has no Region is not a function, and makes them when they are needed.
    """
    if current_process().session.get_config_variable("region"):
        for service in services:
            client(service, **options)
