"""Timestamps as the Amazon States Language has them: RFC 3339 with `T` and a zone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)")


def parse_timestamp(value: Any) -> datetime | None:
    """The date, or None for what is not a timestamp."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
