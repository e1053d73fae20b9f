"""boto3 clients, made when they are first needed: plain YAML needs none, and boto3 is slow to import."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from parameter_config.errors import CredentialsError


def client_maker(service: str, given: Any = None) -> Callable[[], Any]:
    """A function that returns the given client, or makes one of the default session once."""
    if given is not None:
        return lambda: given
    return cache(lambda: make_client(service))


def make_client(
    service: str, *, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
) -> Any:
    """Make a boto3 client that gives up soon, because our own pacing does the waiting.

    Raises:
        CredentialsError: the endpoint is not an address.
    """
    import boto3  # noqa: PLC0415  # see the module docstring
    from botocore.config import Config as BotoConfig  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    chosen = region or os.environ.get("AWS_REGION")  # the AWS CLI reads it, and boto3 does not
    session = boto3.Session(profile_name=profile, region_name=chosen)
    settings = BotoConfig(
        connect_timeout=5,
        read_timeout=15,
        max_pool_connections=10,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    try:
        return session.client(service, endpoint_url=endpoint_url, config=settings)
    except ValueError as error:
        if isinstance(error, BotoCoreError):
            raise
        raise CredentialsError(
            f"{service}: {error}.",
            remedy="Write --endpoint-url, AWS_ENDPOINT_URL or the profile's endpoint_url with its scheme, "
            "such as http://localhost:4566.",
        ) from error
