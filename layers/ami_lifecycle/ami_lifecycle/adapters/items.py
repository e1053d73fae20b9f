"""Values in DynamoDB's attribute notation, for what this service stores: JSON without fractions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from pydantic import BaseModel

_SERIALIZER: Final = TypeSerializer()
_DESERIALIZER: Final = TypeDeserializer()


def to_attribute(value: BaseModel | str | int) -> dict[str, Any]:
    """One value as an attribute. A model becomes a map without its empty fields, so that equal models
    are equal maps and a condition can compare them whole.
    """
    plain = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    attribute: dict[str, Any] = _SERIALIZER.serialize(plain)
    return attribute


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value)
        case dict():
            return {key: _plain(found) for key, found in value.items()}
        case list():
            return [_plain(found) for found in value]
        case _:
            return value


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as plain values."""
    return {name: _plain(_DESERIALIZER.deserialize(attribute)) for name, attribute in item.items()}
