"""Parameters whose value contains an image id, whatever their data type, and the values of `resolve:ssm:` aliases.

DescribeImageReferences is documented to find parameters, not which of them; a parameter of data type `text`,
which is what put-parameter makes by default, is read here. Values are compared and not kept. SecureString parameters
are not read; the roles cannot decrypt them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.adapters.usage.references import use_by_parameter
from ami_lifecycle.adapters.usage.usage_query import TimeLimit
from ami_lifecycle.domain.launchers import ALIAS_PREFIX, Resolution
from ami_lifecycle.domain.model import ImageUse
from ami_lifecycle.errors import AmiLifecycleError

LIST_ACTION: Final = "ssm:DescribeParameters"
GET_ACTION: Final = "ssm:GetParameters"
NAMES_PER_LIST: Final = 50
NAMES_PER_CALL: Final = 10
_IMAGE_ID: Final = re.compile(r"(?<![0-9A-Za-z-])ami-[0-9a-f]{8,17}(?![0-9A-Za-z])")
_RECORD: Final = re.compile(r"/[a-z][a-z0-9-]*/ami/[a-z][a-z0-9-]*/(?:metadata|history/ami-[0-9a-f]+)")
# Parameters of AWS (Systems Manager user guide, public parameters); nobody else's may have such a name.
_PUBLIC: Final = "/aws/"


def read_parameters(
    ssm: Any, image_ids: Sequence[str], paths: Sequence[str], limit: TimeLimit
) -> Iterator[tuple[str, ImageUse]]:
    """String parameters below the paths that have one of the images' ids in their value.

    One call for 50 parameters, and five more for their values. Both come in turn, so that listing, whose rate
    the account shares with PutParameter, stays below it.
    """
    sought = frozenset(image_ids)
    filters = [{"Key": "Type", "Option": "Equals", "Values": ["String", "StringList"]}]
    if "/" not in paths:
        filters.append({"Key": "Path", "Option": "Recursive", "Values": list(paths)})
    with aws_errors(LIST_ACTION, "String parameters"):
        paginator = ssm.get_paginator("describe_parameters")
        for page in limit.pages(paginator, ParameterFilters=filters, MaxResults=NAMES_PER_LIST):
            names = [each["Name"] for each in page["Parameters"] if not _RECORD.fullmatch(each["Name"])]
            for parameter in _values(ssm, names, limit):
                use = use_by_parameter(parameter["ARN"])
                for image_id in sought.intersection(_IMAGE_ID.findall(parameter["Value"])):
                    if use is not None:
                        yield image_id, use


def _values(ssm: Any, names: Sequence[str], limit: TimeLimit) -> Iterator[Mapping[str, Any]]:
    for start in range(0, len(names), NAMES_PER_CALL):
        limit.check()
        chunk = list(names[start : start + NAMES_PER_CALL])
        with aws_errors(GET_ACTION, ", ".join(chunk)):
            yield from ssm.get_parameters(Names=chunk)["Parameters"]


def resolve_aliases(ssm: Any, aliases: Iterable[str], limit: TimeLimit) -> Iterator[tuple[str, Resolution]]:
    """The value of each `resolve:ssm:` alias, with its version or label; ten in a call.

    EC2 launches nothing from an alias whose parameter, version or label does not exist. One that may not be
    read, such as another account's, is not known.
    """
    names = {alias.removeprefix(ALIAS_PREFIX): alias for alias in aliases}
    for name in [name for name in names if name.startswith(_PUBLIC)]:
        yield names.pop(name), Resolution()
    for chunk in _chunks(names):
        limit.check()
        try:
            found = _resolve(ssm, chunk)
        except (AmiLifecycleError, ClientError):
            if len(chunk) == 1:
                found = {}
            else:
                # One refused name fails the whole call.
                found = {}
                for name in chunk:
                    limit.check()
                    found |= _resolve_one(ssm, name)
        for name in chunk:
            yield names[name], found.get(name, Resolution(is_known=False))


def _resolve_one(ssm: Any, name: str) -> dict[str, Resolution]:
    try:
        return _resolve(ssm, [name])
    except (AmiLifecycleError, ClientError):
        return {}


def _resolve(ssm: Any, names: Sequence[str]) -> dict[str, Resolution]:
    with aws_errors(GET_ACTION, ", ".join(names)):
        answer = ssm.get_parameters(Names=list(names))
    found = {name: Resolution() for name in answer.get("InvalidParameters", ())}
    for parameter in answer["Parameters"]:
        selector = parameter.get("Selector", "")
        for name in (parameter["Name"], parameter.get("ARN")):
            found[f"{name}{selector}"] = Resolution(value=parameter["Value"])
    return found


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    """Batches of at most ten names, never with two versions or labels of one parameter."""
    layers: dict[int, list[str]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for name in names:
        parameter = _parameter_of(name)
        layers[seen[parameter]].append(name)
        seen[parameter] += 1
    for layer in layers.values():
        for start in range(0, len(layer), NAMES_PER_CALL):
            yield layer[start : start + NAMES_PER_CALL]


def _parameter_of(name: str) -> str:
    """The parameter's name without version or label, and without what an ARN has before it."""
    if name.startswith("arn:"):
        name = name.partition(":parameter")[2]
    return name.partition(":")[0]
