"""The state of Parameter Store, and the validation of names and values.

Sources: Systems Manager API reference (PutParameter); user guide, "About requirements and constraints for
parameter names", "Managing parameter tiers", "Native parameter support for AMI IDs".
"""

from __future__ import annotations

import re
import threading
from collections import UserDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aws_emulator.api.errors import validation
from aws_emulator.api.operations import ApiError

IMAGE: Final = "aws:ec2:image"
DATA_TYPES: Final = ("text", IMAGE)
MAX_VERSIONS: Final = 100
MAX_PARAMETERS: Final = 10_000
_MAX_LEVELS: Final = 15
_MAX_NAME: Final = 1011
_LIMITS: Final = {"Standard": 4096, "Advanced": 8192}
_NAME: Final = re.compile(r"[a-zA-Z0-9_./-]+")
_LABEL: Final = re.compile(r"[a-zA-Z_.\-][a-zA-Z0-9_.\-]{0,99}")


@dataclass(kw_only=True)
class Version:
    """One version of a parameter."""

    number: int
    value: str
    kind: str
    data_type: str
    tier: str
    modified: datetime
    user: str
    description: str | None = None
    allowed_pattern: str | None = None
    key_id: str | None = None
    labels: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Parameter:
    """A parameter with its versions, oldest first. `issued` is the highest version number given out."""

    name: str
    versions: list[Version] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    issued: int = 0
    public: bool = False

    @property
    def latest(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def version(self, selector: str) -> Version | None:
        """The version with a number or a label."""
        number = int(selector) if selector.isdecimal() else None  # ":01" is version 1
        for version in self.versions:
            if version.number == number or selector in version.labels:
                return version
        return None


class ParametersByName(UserDict[str, Parameter]):
    """Parameters by name, where `x` and `/x` are one (radkawar/stackd, testdata/aws/ssm/selector_edges.json)."""

    def __getitem__(self, name: str) -> Parameter:
        """The parameter with a name."""
        return super().__getitem__(_key(name))

    def __setitem__(self, name: str, parameter: Parameter) -> None:
        """Keep a parameter."""
        super().__setitem__(_key(name), parameter)

    def __delitem__(self, name: str) -> None:
        """Forget a parameter."""
        super().__delitem__(_key(name))

    def __contains__(self, name: object) -> bool:
        """Whether there is such a parameter."""
        return super().__contains__(_key(str(name)))


def _key(name: str) -> str:
    return name[1:] if name.startswith("/") and name.count("/") == 1 else name


class ParameterTable:
    """The parameters of one account and Region by name; whoever reads or changes them holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.by_name = ParametersByName()


def check_name(name: str) -> None:
    """Refuse a name that cannot be created.

    Raises:
        ApiError: `ValidationException`, `AccessDeniedException` or `HierarchyLevelLimitExceededException`.
    """
    if not _NAME.fullmatch(name):
        raise validation(
            "Parameter name: can't contain characters other than letters, numbers, and the symbols . _ - /"
        )
    if len(name) > _MAX_NAME:
        raise validation(f"Parameter name is longer than {_MAX_NAME} characters.")
    if "/" in name and not name.startswith("/"):
        raise validation("Parameter name must be a fully qualified name.")
    if name.endswith("/") or "//" in name:
        raise validation(f"The parameter name {name} has an empty level.")
    if name.lower().startswith("/aws/"):
        raise ApiError("AccessDeniedException", f"No access to reserved parameter name: {name}.")
    if name.lstrip("/").lower().startswith(("aws", "ssm")):
        raise validation('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')
    if name.count("/") > _MAX_LEVELS:
        raise ApiError(
            "HierarchyLevelLimitExceededException",
            f"Parameter name must have at most {_MAX_LEVELS} levels, separated by a forward slash (/).",
        )


def check_read_name(name: str) -> None:
    """Refuse to look up a name that no parameter can have; helmfile/vals, issue 91, shows the answer.

    Raises:
        ApiError: `ValidationException`.
    """
    one_level = "/" not in name
    if not _NAME.fullmatch(name) or "//" in name or not (one_level or name.startswith("/")):
        raise validation(
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
            "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the "
            "following 3 symbols .-_"
        )


def tier_for(asked: str, current: str | None, value: str) -> str:
    """The tier that a value is stored in; a parameter never goes back from Advanced.

    Raises:
        ApiError: `ValidationException` for a value that is too long or a way back to Standard.
    """
    size = len(value.encode())
    if asked == "Intelligent-Tiering":
        tier = "Advanced" if size > _LIMITS["Standard"] or current == "Advanced" else "Standard"
    elif current == "Advanced" and asked == "Standard":
        raise validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )
    else:
        tier = asked
    if size > _LIMITS[tier]:
        upgrade = (
            " To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier."
            if tier == "Standard"
            else ""
        )
        raise validation(
            f"{tier} tier parameters support a maximum parameter value of {_LIMITS[tier]} characters.{upgrade}"
        )
    return tier


def check_value(value: str, allowed_pattern: str | None) -> None:
    """Refuse a value that nests a parameter or does not match the pattern.

    Raises:
        ApiError: `ValidationException`, `InvalidAllowedPatternException` or
            `ParameterPatternMismatchException`.
    """
    if "{{" in value and "}}" in value:
        raise validation('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.')
    if allowed_pattern is None:
        return
    try:
        matches = re.fullmatch(allowed_pattern, value)
    except re.error as error:
        raise ApiError(
            "InvalidAllowedPatternException",
            f"The request doesn't meet the regular expression requirement: {error}",
        ) from error
    if matches is None:
        raise ApiError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {allowed_pattern}",
        )


def check_data_type(data_type: str, kind: str) -> None:
    """Refuse a data type that does not exist or does not go with the type.

    Raises:
        ApiError: `ValidationException`, or `EmulatorUnsupportedParameter` for those not emulated.
    """
    if data_type in {"aws:ssm:integration", "url", "json", "jsonc"}:
        raise ApiError(
            "EmulatorUnsupportedParameter", f"the emulator does not emulate data type {data_type}", 501
        )
    if data_type not in DATA_TYPES:
        raise validation(
            f"The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )
    if data_type == IMAGE and kind != "String":
        raise validation(f"The data type {IMAGE} is supported for parameters of type String only.")


def is_label(label: str) -> bool:
    """Whether a text can be a label: it neither begins with a number, nor with aws or ssm."""
    return bool(_LABEL.fullmatch(label)) and not label.lower().startswith(("aws", "ssm"))


def split_selector(name: str) -> tuple[str, str | None]:
    """A name as asked for, or an ARN, as the parameter's name and the version or label behind the colon.

    Raises:
        ApiError: `ValidationException` for more than one colon, or nothing behind it.
    """
    resource = name.split(":parameter", 1)[-1] if name.startswith("arn:") else name
    path, colon, selector = resource.partition(":")
    if ":" in selector or (colon and not selector):
        raise validation(
            "Invalid parameter name. Please use correct syntax for referencing a version/label  <name>:<version/label>"
        )
    if name.startswith("arn:") and path.count("/") <= 1:
        path = path.removeprefix("/")
    return path, selector or None
