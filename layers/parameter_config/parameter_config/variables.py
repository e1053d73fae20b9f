"""Environment variables: how values are called there, and values that are taken from there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from parameter_config.declarations import Declaration
from parameter_config.errors import InvalidDeclarationError, ValueTypeError
from parameter_config.values import format_value


def variable_name(path: str, prefix: str = "") -> str:
    """`aws.ec2.instance_id` is `AWS_EC2_INSTANCE_ID`, behind the prefix."""
    return prefix + re.sub(r"[^A-Z0-9]", "_", path.upper())


@dataclass(frozen=True)
class Variables:
    """Environment variables that go before Parameter Store. An empty one counts as none, as in the shell's `${X:-}`.

    Args:
        prefix: what the name of each begins with.
        environ: the variables; without it those of the process, as they are when a value is asked for.
    """

    prefix: str
    environ: Mapping[str, str] | None = None

    def name(self, declaration: Declaration) -> str:
        """The variable of a declared value."""
        return variable_name(declaration.path, self.prefix)

    def is_set(self, declaration: Declaration) -> bool:
        """Whether the variable of a declared value has one."""
        return bool(self._text(declaration))

    def value(self, declaration: Declaration) -> Any:
        """The value of the declared type. A list is JSON, as `config exec` passes it on, or has commas.

        Raises:
            ValueTypeError, ValueNotAllowedError: see `Declaration.parse`.
        """
        text, source = self._text(declaration), f"The variable {self.name(declaration)}"
        if declaration.type == "list" and text.startswith("["):
            try:
                text = format_value(json.loads(text), "list")
            except ValueError as error:
                raise ValueTypeError(
                    f"{source} is no list: {error}.",
                    remedy="Write a JSON array, or words with commas between them.",
                    location=declaration.location,
                ) from None
        return declaration.parse(text, source=source)

    def _text(self, declaration: Declaration) -> str:
        return (os.environ if self.environ is None else self.environ).get(self.name(declaration), "")

    def check(self, declarations: Iterable[Declaration]) -> None:
        """Refuse declarations of which one variable would be the value of two.

        Raises:
            InvalidDeclarationError: there are such.
        """
        seen: dict[str, Declaration] = {}
        for declaration in declarations:
            first = seen.setdefault(self.name(declaration), declaration)
            if first.path != declaration.path:
                raise InvalidDeclarationError(
                    f"{first.path} and {declaration.path} are both the environment variable {self.name(declaration)}.",
                    remedy="Rename one of the keys.",
                    location=declaration.location,
                )
