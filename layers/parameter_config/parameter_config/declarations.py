"""A declared parameter: its field values, checked; and what a stored value must be like."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from parameter_config.ambiguous_scalars import quoted
from parameter_config.errors import (
    InvalidDeclarationError,
    Location,
    ValueNotAllowedError,
    ValueTooLongError,
    ValueTypeError,
)
from parameter_config.names import check_template, fill_template
from parameter_config.schema import ParameterSchema, ValueType
from parameter_config.sensitive import MASK, Sensitive
from parameter_config.values import coerce_value, format_value, infer_type, parse_text, show

STANDARD_CHARACTERS: Final = 4096
ADVANCED_CHARACTERS: Final = 8192


@dataclass(frozen=True)
class Declaration:
    """A value that Parameter Store holds, and the place where a file declares it.

    `default` is of the declared type, or None. `path` is dotted and begins with the namespace.
    """

    path: str
    schema: ParameterSchema = field(repr=False)
    location: Location
    type: ValueType
    default: Any = field(repr=False)

    def name(self, placeholders: Mapping[str, str | None]) -> str:
        """The parameter's name in an environment; raises `PlaceholderError`, `InvalidParameterNameError`."""
        return fill_template(self.schema.ssm_param, placeholders, self.location, self.path)

    def fallback_names(self, placeholders: Mapping[str, str | None]) -> tuple[str, ...]:
        """The names that are read where the parameter does not exist; raises as `name` does."""
        return tuple(
            fill_template(each, placeholders, self.location, self.path) for each in self.schema.fallbacks
        )

    def names(self, placeholders: Mapping[str, str | None]) -> tuple[str, ...]:
        """All names that can have the value, in the order in which they are read; raises as `name` does."""
        return (self.name(placeholders), *self.fallback_names(placeholders))

    @property
    def characters(self) -> int:
        """How many characters a value may have.

        Source: PutParameter, Value: 4,096 in the standard tier and 8,192 in the advanced one.
        """
        return STANDARD_CHARACTERS if self.schema.tier == "Standard" else ADVANCED_CHARACTERS

    @property
    def default_text(self) -> str | None:
        """The default as Parameter Store would hold it; None where there is none that it can hold.

        Parameter Store has no empty values (PutParameter, Value).
        """
        return None if self.default is None else format_value(self.default, self.type) or None

    def mask(self, text: str) -> str:
        """`text`, or the mask where the value must not be shown."""
        return MASK if self.schema.sensitive else text

    def parse(self, text: str, *, source: str, sensitive: bool = False) -> Any:
        """Read a stored text as the declared type, and check it.

        Args:
            text: as Parameter Store holds it.
            source: what the message names: the parameter, and its version where it has one.
            sensitive: the stored parameter is a SecureString, whatever the declaration says.

        Raises:
            ValueTypeError: the text is not of the declared type.
            ValueNotAllowedError: `allowed_pattern` or `allowed_values` excludes it.
        """
        hidden = sensitive or self.schema.sensitive
        shown = "a value" if hidden else show(text)
        try:
            value = parse_text(text, self.type)
        except ValueError as error:
            raise ValueTypeError(
                f"{source} holds {shown}, which is not {error}, as {self.path} declares.",
                remedy=f"Store a value of type {self.type}: ami-lifecycle config set {self.path} VALUE.",
                location=self.location,
            ) from None
        self._check_allowed(text, value, source, shown)
        return Sensitive(value) if hidden and isinstance(value, str) else value

    def check_text(self, text: str, *, sensitive: bool = False) -> Any:
        """Check a text that is to be stored; returns the value that it stands for.

        Args:
            text: as Parameter Store would hold it.
            sensitive: it comes from a SecureString, and no message may show it.

        Raises:
            ValueTypeError, ValueNotAllowedError: see `parse`.
            ValueTooLongError: it does not fit the tier.
        """
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueNotAllowedError(
                f"The value of {self.path} is not text in the encoding of this terminal.",
                remedy="Pass it with --stdin, in UTF-8.",
                location=self.location,
            )
        if len(text) > self.characters:
            raise ValueTooLongError(
                f"The value of {self.path} has {len(text):,} characters; "
                f"the {self.schema.tier} tier holds {self.characters:,}.",
                remedy="Set `tier: Advanced` (8,192 characters, at a price), or keep it as plain YAML.",
                location=self.location,
            )
        if not text or "{{" in text:
            raise ValueNotAllowedError(
                f"Parameter Store does not hold {'empty values' if not text else 'values with {{ in them'} "
                f"({self.path}).",
                remedy="Leave the parameter out, or keep the value as plain YAML.",
                location=self.location,
            )
        return self.parse(text, source="The new value", sensitive=sensitive)

    def _check_allowed(self, text: str, value: Any, source: str, shown: str) -> None:
        pattern, allowed = self.schema.allowed_pattern, self.schema.allowed_values
        if pattern is not None and not re.fullmatch(pattern, text):
            raise ValueNotAllowedError(
                f"{source} holds {shown}; the allowed_pattern of {self.path} is {pattern!r}.",
                remedy="Store a value that matches.",
                location=self.location,
            )
        if allowed is not None and value not in allowed:
            raise ValueNotAllowedError(
                f"{source} holds {shown}, which is none of the allowed_values of {self.path}.",
                remedy=f"Store one of {', '.join(json.dumps(item) for item in allowed)}.",
                location=self.location,
            )


@dataclass(frozen=True)
class WrittenDefault:
    """A default as its file has it: its place, and the first plain word in it that is not text."""

    location: Location
    word: str | None = None


def declare(
    path: str, schema: ParameterSchema, location: Location, written: WrittenDefault | None = None
) -> Declaration:
    """Check the fields of a declaration against each other, and its default against them.

    Raises:
        PlaceholderError, InvalidParameterNameError: see `check_template`.
        InvalidDeclarationError: fields that exclude each other.
        ValueTypeError, ValueNotAllowedError, ValueTooLongError: the default is not a possible value.
    """
    for template in (schema.ssm_param, *schema.fallbacks):
        check_template(template, location)
    value_type = schema.type or infer_type(schema.default)
    _check_fields(path, schema, value_type, location)
    try:
        default = None if schema.default is None else coerce_value(schema.default, value_type)
    except ValueError as error:
        text_is_due = value_type in {"str", "list"} and written is not None and written.word is not None
        raise ValueTypeError(
            f"The default of {path} is {show(schema.default)}, which is not {error}.",
            remedy=f"Correct the default: as text it is {quoted(written.word)}, with the quotes."
            if text_is_due and written and written.word is not None
            else f"Correct the default, or its `type: {value_type}`.",
            location=written.location if written else location,
        ) from None
    declaration = Declaration(path=path, schema=schema, location=location, type=value_type, default=default)
    if (text := declaration.default_text) is not None:
        declaration.check_text(text)
    return declaration


def _check_fields(path: str, schema: ParameterSchema, value_type: ValueType, location: Location) -> None:
    problems = {
        "a sensitive value has a default, which everyone who reads the file can see": (
            schema.sensitive and schema.default is not None
        ),
        f"a sensitive value is of type {value_type}; only strings can be kept from view": (
            schema.sensitive and value_type != "str"
        ),
        f"the name of a secret is of type {value_type}; it must be str": schema.secret
        and value_type != "str",
        "it is both `secret` and `sensitive`; the name of a secret is not a secret": (
            schema.secret and schema.sensitive
        ),
        "it has a key_id and is not sensitive; only SecureStrings have a key": (
            schema.key_id is not None and not schema.sensitive
        ),
        f"its data_type is {schema.data_type}, which only a plain string can be": (
            schema.data_type != "text" and (value_type != "str" or schema.sensitive)
        ),
        "its ssm_param and its fallbacks name one parameter twice": (
            len({schema.ssm_param, *schema.fallbacks}) <= len(schema.fallbacks)
        ),
        "its allowed_values are not of its type": not _all_of_type(schema.allowed_values or [], value_type),
        "its allowed_pattern is not a regular expression": not _compiles(schema.allowed_pattern),
    }
    for problem, holds in problems.items():
        if holds:
            raise InvalidDeclarationError(
                f"{path}: {problem}.", remedy="Correct the declaration.", location=location
            )


def _all_of_type(items: list[Any], value_type: ValueType) -> bool:
    try:
        for item in items:
            coerce_value(item, value_type)
    except ValueError:
        return False
    return True


def _compiles(pattern: str | None) -> bool:
    try:
        re.compile(pattern or "")
    except re.error:
        return False
    return True
