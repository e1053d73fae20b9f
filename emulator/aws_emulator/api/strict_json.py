"""JSON that callers send, read as RFC 8259 has it and as AWS's services do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def strict_json(
    text: str | bytes, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: the text is no JSON, as with NaN and Infinity, which Python takes; or it is nested too deep.
    """
    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=object_pairs_hook)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error


def refuse_constant(name: str) -> Any:
    """For `parse_constant` of a decoder: raises ValueError."""
    raise ValueError(f"{name} is no JSON")
