"""Names of parameters: what Parameter Store accepts, and the placeholders of `ssm_param`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from parameter_config.errors import (
    InvalidParameterNameError,
    Location,
    PlaceholderError,
    ReservedPrefixError,
)

PLACEHOLDERS: Final = ("application", "environment")
MAX_LENGTH: Final = 1011
MAX_LEVELS: Final = 15

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_./-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]+")


def check_name(name: str, location: Location | None = None) -> None:
    """Refuse a name that Parameter Store would refuse.

    Source: Systems Manager user guide, "Understanding requirements and constraints for parameter
    names": characters, 1,011 of them at most, 15 levels, no prefix `aws` or `ssm` in any case.

    Raises:
        InvalidParameterNameError: the name cannot exist.
        ReservedPrefixError: the name is AWS's.
    """
    if problem := _problem_of(name):
        raise InvalidParameterNameError(
            f"{name!r} is not a valid parameter name: {problem}.",
            remedy="Write ssm_param as /project/category/key, of letters, digits and the characters _ . -",
            location=location,
        )
    if name.lstrip("/").lower().startswith(("aws", "ssm")):
        raise ReservedPrefixError(
            f"The parameter name {name!r} begins with {name.lstrip('/')[:3]!r}, which AWS keeps for itself.",
            remedy="Begin the name with that of your project, as in /fine-tune-slm/aws/region.",
            location=location,
        )


def _problem_of(name: str) -> str | None:
    levels = name.strip("/").split("/")
    problems = {
        "it is empty": not name.strip("/"),
        "it has characters other than letters, digits and _ . - /": not _NAME.fullmatch(name),
        "a name with levels begins with /": "/" in name and not name.startswith("/"),
        "it ends with /": name.endswith("/"),
        "it has an empty level": "//" in name,
        f"it has {len(levels)} levels, and {MAX_LEVELS} is the most": len(levels) > MAX_LEVELS,
        f"it has {len(name)} characters, and {MAX_LENGTH} is the most": len(name) > MAX_LENGTH,
    }
    return next((problem for problem, holds in problems.items() if holds), None)


def check_template(template: str, location: Location | None = None) -> None:
    """Refuse an `ssm_param` with an unknown or malformed placeholder, or that can never be a valid name.

    Raises:
        PlaceholderError: the placeholder is not one of `{environment}` and `{application}`.
        InvalidParameterNameError: see `check_name`.
    """
    for placeholder in _PLACEHOLDER.findall(template):
        if placeholder not in PLACEHOLDERS:
            raise PlaceholderError(
                f"{template!r} has the unknown placeholder {{{placeholder}}}.",
                remedy="Use {environment} or {application}.",
                location=location,
            )
    filled = _PLACEHOLDER.sub("x", template)
    if "{" in filled or "}" in filled:
        raise PlaceholderError(
            f"{template!r} has a brace without its partner.",
            remedy="Write placeholders as {environment} or {application}.",
            location=location,
        )
    check_name(filled, location)


def fill_template(
    template: str, values: Mapping[str, str | None], location: Location | None = None, path: str = ""
) -> str:
    """Put the environment and the application into an `ssm_param`.

    Raises:
        PlaceholderError: the template needs a value that is not known.
        InvalidParameterNameError: the result is not a valid name.
    """

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value is None:
            raise PlaceholderError(
                f"{path or template} is stored as {template!r}, and no {match[1]} is given.",
                remedy=f"Pass {match[1]}=... to load_config, or --{match[1]} to the command.",
                location=location,
            )
        return value

    name = _PLACEHOLDER.sub(fill, template)
    if name != template:
        check_name(name, location)
    return name


def check_placeholder_value(kind: str, value: str) -> None:
    """Refuse an environment or application that cannot be one level of a parameter name.

    Raises:
        PlaceholderError: it is empty or has other characters than letters, digits and `_ . -`.
    """
    if not _SEGMENT.fullmatch(value):
        raise PlaceholderError(
            f"{value!r} cannot be the {kind}: it becomes part of parameter names.",
            remedy="Use letters, digits and the characters _ . -",
        )


def name_matcher(template: str, values: Mapping[str, str | None]) -> re.Pattern[str]:
    """Compile a pattern of all names that `template` can have, in any environment.

    A placeholder with a value in `values` stands for that value only.
    """
    parts = _PLACEHOLDER.split(template)
    patterns = [
        re.escape(part)
        if index % 2 == 0
        else re.escape(value)
        if (value := values.get(part))
        else _SEGMENT.pattern
        for index, part in enumerate(parts)
    ]
    return re.compile("".join(patterns))
