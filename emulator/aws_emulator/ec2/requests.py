"""What EC2's operations read from their requests in the same way: ids, tags, dry runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request

Made = TypeVar("Made")
_ID: Final = re.compile(r"(i|ami|snap|vol|lt)-([0-9a-f]{8}|[0-9a-f]{17})")


def supported(request: Request, *names: str) -> Mapping[str, Any]:
    """The request's parameters, of which only `names` are emulated.

    Raises:
        ApiError: `EmulatorUnsupportedParameter` for any other.
    """
    refuse_unsupported_parameters(request.service, request.operation, request.parameters, (*names, "DryRun"))
    return request.parameters


def refuse_dry_run(request: Request) -> None:
    """End a dry run, which checks permission and parameters but not the resource's state.

    Raises:
        ApiError: `DryRunOperation`.
    """
    if request.parameters.get("DryRun"):
        raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


class ClientTokens(Generic[Made]):
    """What an operation has made for each client token (EC2 developer guide, Ensuring idempotency)."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[str, Made]] = {}

    def known(self, request: Request, parameters: Mapping[str, Any], scope: str = "") -> Made | None:
        """What an earlier call with the token of `parameters` has made; None for a new token, or none.

        Args:
            scope: where a token counts, if it is not the Region.

        Raises:
            ApiError: `IdempotentParameterMismatch` if that call had other parameters; `DryRunOperation`.
        """
        found = self._made.get((parameters.get("ClientToken") or "", scope))
        if found is None:
            return None
        fingerprint, made = found
        if fingerprint != _fingerprint(parameters):
            raise idempotency_mismatch()
        refuse_dry_run(request)
        return made

    def remember(self, parameters: Mapping[str, Any], made: Made, scope: str = "") -> None:
        """Keep what a call has made, if it has a token."""
        if token := parameters.get("ClientToken"):
            self._made[token, scope] = (_fingerprint(parameters), made)


def _fingerprint(parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if name != "DryRun"}
    return json.dumps(given, sort_keys=True, default=str)


def idempotency_mismatch() -> ApiError:
    """The refusal of a client token that came with other parameters before."""
    return ApiError(
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    )


def require_id(prefix: str, resource_id: str, code: str, expecting: str | None = None) -> None:
    """Refuse an id that cannot be one.

    Raises:
        ApiError: `<code>.Malformed`.
    """
    match = _ID.fullmatch(resource_id)
    # Recorded calls: of images, nothing but zeros is no id either; of snapshots it is one that does not exist.
    is_zero = prefix == "ami" and not resource_id.removeprefix("ami-").strip("0")
    if match is None or match.group(1) != prefix or is_zero:
        hint = expecting or f"{prefix}-..."
        raise ApiError(f"{code}.Malformed", f'Invalid id: "{resource_id}" (expecting "{hint}")')


def tags_for(
    specifications: Iterable[Mapping[str, Any]] | None, allowed: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Tags by resource type from TagSpecifications.

    Raises:
        ApiError: `InvalidParameterValue` for a type that the call does not create, or a bad tag.
    """
    kinds = tuple(allowed)
    found: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for specification in specifications or ():
        kind = specification.get("ResourceType", "")
        if kind not in found:
            raise ApiError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        found[kind] |= read_tags(specification.get("Tags", ()))
    return found


def read_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags as a mapping, within EC2's rules (EC2 user guide, Tag restrictions).

    Raises:
        ApiError: `InvalidParameterValue` or `TagLimitExceeded`.
    """
    found: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not key or len(key) > 128:
            raise ApiError(
                "InvalidParameterValue", f"Tag key exceeds the maximum length of 128 characters: '{key}'"
            )
        if len(value) > 256:
            raise ApiError("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
        if key.lower().startswith("aws:"):
            raise ApiError(
                "InvalidParameterValue",
                f"Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for "
                "internal use",
            )
        if key in found:
            raise ApiError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = value
    require_tag_count(found)
    return found


def require_tag_count(tags: Mapping[str, str]) -> None:
    """Refuse more than 50 tags on a resource.

    Raises:
        ApiError: `TagLimitExceeded`.
    """
    if len(tags) > 50:
        raise ApiError("TagLimitExceeded", "Tag limit exceeded: a resource can have at most 50 tags")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
