"""Dates as the protocols write them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso8601(value: datetime) -> str:
    """A date as EC2 writes it: UTC with milliseconds and `Z`."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def epoch_seconds(value: datetime) -> float:
    """A date as the JSON protocols write it: seconds since 1970 with milliseconds."""
    return round(value.timestamp(), 3)
