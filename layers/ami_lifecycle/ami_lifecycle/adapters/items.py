"""Values in DynamoDB's attribute notation, for what this service stores: JSON without fractions.

Source: DynamoDB API reference, AttributeValue. (boto3 has a serializer; `clients` says why it is not imported.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def to_attribute(value: BaseModel | str | int | list[dict[str, Any]]) -> dict[str, Any]:
    """One value as an attribute. A model becomes a map without its empty fields, so that equal models
    are equal maps and a condition can compare them whole.
    """
    return _attribute(
        value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    )


def _attribute(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case Mapping():
            return {"M": {key: _attribute(found) for key, found in value.items()}}
        case list() | tuple():
            return {"L": [_attribute(found) for found in value]}
    raise TypeError(
        f"{type(value).__name__} is not stored; only texts, whole numbers and what is made of them"
    )


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(value)
        case "M":
            return {key: _plain(found) for key, found in value.items()}
        case "L":
            return [_plain(found) for found in value]
        case "S" | "BOOL":
            return value
    raise TypeError(f"an attribute of type {kind} is not one that this service has stored")


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as plain values."""
    return {name: _plain(attribute) for name, attribute in item.items()}
