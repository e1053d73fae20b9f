"""What a declared parameter is beside its value: compared with what is stored, and brought about where AWS can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from parameter_config.declarations import Declaration
from parameter_config.errors import AccessDeniedError
from parameter_config.parameter_store import ParameterStore, StoredAttributes, whole_pattern

# Takes the place of a pattern that is not declared any more: PutParameter keeps one that is left out.
_ANY_TEXT: Final = r"[\s\S]*"


@dataclass(frozen=True)
class AttributeChange:
    """An attribute that is stored in another way than it is declared.

    Attributes:
        attribute: as the declaration calls it.
        argument: of PutParameter; None where AWS cannot change it, or would keep older values plain.
    """

    attribute: str
    stored: str
    declared: str
    argument: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.attribute} {self.stored or '(none)'} -> {self.declared or '(none)'}"


def arguments_of(declaration: Declaration, changes: Iterable[AttributeChange]) -> dict[str, str]:
    """The arguments of PutParameter that bring changes about, and those that a new value needs: tier and key.

    Source: PutParameter, Tier: a standard parameter can become an advanced one at any time.
    """
    arguments = dict(change.argument for change in changes if change.argument is not None)
    if declaration.schema.tier != "Standard":
        arguments["Tier"] = declaration.schema.tier
    if declaration.schema.key_id is not None:
        arguments["KeyId"] = declaration.schema.key_id
    return arguments


def attribute_changes(declaration: Declaration, stored: StoredAttributes) -> list[AttributeChange]:
    """How a stored parameter differs from its declaration; what is not declared is not compared."""
    return [*_tier(declaration, stored), *_others(declaration, stored)]


def _tier(declaration: Declaration, stored: StoredAttributes) -> Iterator[AttributeChange]:
    """Intelligent-Tiering is no tier of a stored parameter: it is Standard or Advanced."""
    declared = declaration.schema.tier
    if "tier" not in declaration.schema.model_fields_set or declared in {stored.tier, "Intelligent-Tiering"}:
        return
    argument = ("Tier", declared) if declared == "Advanced" else None
    yield AttributeChange("tier", stored.tier, declared, argument)


def _others(declaration: Declaration, stored: StoredAttributes) -> Iterator[AttributeChange]:
    schema = declaration.schema
    if schema.description and schema.description != stored.description:
        yield AttributeChange(
            "description", stored.description, schema.description, ("Description", schema.description)
        )
    declared = whole_pattern(schema.allowed_pattern or _ANY_TEXT)
    ours = (stored.allowed_pattern or "").startswith("^(?:")
    if declared != stored.allowed_pattern and (schema.allowed_pattern is not None or ours):
        yield AttributeChange(
            "allowed_pattern", stored.allowed_pattern or "", declared, ("AllowedPattern", declared)
        )
    if "data_type" in schema.model_fields_set and schema.data_type != stored.data_type:
        yield AttributeChange("data_type", stored.data_type, schema.data_type)
    if schema.sensitive and stored.type != "SecureString":
        yield AttributeChange("sensitive", stored.type, "SecureString")
    elif schema.key_id is not None and schema.key_id != stored.key_id:
        yield AttributeChange("key_id", stored.key_id or "", schema.key_id, ("KeyId", schema.key_id))


def read_changes(
    store: ParameterStore, declared: Mapping[str, Declaration]
) -> dict[str, list[AttributeChange]]:
    """How stored parameters differ from their declarations, by name.

    A caller that may not describe parameters can read and write values all the same: then nothing is compared.
    """
    try:
        stored = store.read_attributes(declared)
    except AccessDeniedError:
        return {}
    return {
        name: changes
        for name, attributes in stored.items()
        if (changes := attribute_changes(declared[name], attributes))
    }


def remedy_for(name: str, changes: Iterable[AttributeChange]) -> str:
    """What brings changes about."""
    if any(change.argument is None for change in changes):
        return (
            "That is not changed in place. Delete the parameter, with its history "
            f"(aws ssm delete-parameter --name {name}), wait 30 seconds, and create it again."
        )
    return "`ami-lifecycle config init` brings it about."
