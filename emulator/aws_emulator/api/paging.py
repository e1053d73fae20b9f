"""Paging of the JSON services: a page size, and an opaque token for where the next page begins."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TypeVar

from aws_emulator.api.operations import ApiError
from aws_emulator.api.strict_json import strict_json

Item = TypeVar("Item")


def page(
    items: Sequence[Item],
    token: str | None,
    size: int | None,
    *,
    default: int,
    error: str = "InvalidNextToken",
) -> tuple[list[Item], str | None]:
    """One page of items, and the token of the next or None.

    Args:
        size: the page size asked for; the service's model bounds it.
        error: the service's code for a token that it did not give.

    Raises:
        ApiError: with that code.
    """
    start = _read(token, error) if token else 0
    end = start + (size or default)
    return list(items[start:end]), (_write(end) if end < len(items) else None)


def _write(start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"start": start}).encode()).decode()


def _read(token: str, error: str) -> int:
    try:
        return int(strict_json(base64.urlsafe_b64decode(token))["start"])
    except (ValueError, KeyError, TypeError) as cause:
        raise ApiError(error, "The specified token is not valid.") from cause
