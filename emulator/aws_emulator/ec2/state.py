"""The emulated EC2's state and what all of its operations share."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from aws_emulator.api.errors import refuse_unsupported_parameters
from aws_emulator.api.operations import ApiError, Request
from aws_emulator.clock import Clock
from aws_emulator.durations import Durations
from aws_emulator.ec2.model import (
    Fleet,
    Image,
    Instance,
    LaunchTemplate,
    Resource,
    Snapshot,
    Volume,
)
from aws_emulator.ec2.surroundings import Surroundings
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.faults import Faults
from aws_emulator.gateway.moto_backend import MotoAccount

_ID: Final = re.compile(r"(i|ami|snap|vol|lt)-([0-9a-f]{8}|[0-9a-f]{17})")
# What EC2 calls its own key, which every principal of the account may use through EC2.
KEY_OF_AWS: Final = "alias/aws/ebs"
Found = TypeVar("Found", bound=Resource)


class Ec2State:
    """Instances, volumes, snapshots, images and launch templates of one account and Region.

    All methods that read or change them hold `lock`. `resolve_image_parameter` is set by the account's
    Parameter Store: it gives the image id of a parameter (`name`, `name:version` or `name:label`) and
    raises `ApiError` unless it is a String of data type `aws:ec2:image`.
    `image_parameters` gives the ARNs of the parameters that name an image.

    Args:
        moto: keeps the network and the instance profiles.
        role_tag: the tag that says what an instance is for.
        agent_may_report: whether an instance profile has the permissions without which the SSM agent never
            registers.
        refused_key: the reason for which EBS cannot use a key with a caller's rights, None where it can.
    """

    def __init__(
        self,
        clock: Clock,
        bus: EventBus,
        durations: Durations,
        *,
        account_id: str,
        region: str,
        moto: MotoAccount,
        faults: Faults | None = None,
        role_tag: str = "role",
        agent_may_report: Callable[[Mapping[str, str]], bool] = lambda _profile: True,
        refused_key: Callable[[str, str], str | None] = lambda _caller, _key: None,
    ) -> None:
        self.clock = clock
        self.bus = bus
        self.durations = durations
        self.account_id = account_id
        self.region = region
        self.faults = faults or Faults(clock)
        self.surroundings = Surroundings(moto, account_id)
        self.lock = threading.RLock()
        self.instances: dict[str, Instance] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.images: dict[str, Image] = {}
        self.templates: dict[str, LaunchTemplate] = {}
        self.allowed_images_state = "disabled"
        self.image_criteria: list[dict[str, Any]] = []
        self.fleets: dict[str, Fleet] = {}
        self.spot_fleets: dict[str, Fleet] = {}
        self.spot_requests: dict[str, Fleet] = {}
        self.resolve_image_parameter: Callable[[str], str] = _no_parameters
        self.image_parameters: Callable[[str], list[str]] = lambda _image_id: []
        self.encrypts_by_default = False
        self.default_volume_key = KEY_OF_AWS
        self.refused_key = refused_key
        self.agent_may_report = agent_may_report
        self._role_tag = role_tag

    def stamp(self) -> dict[str, Any]:
        """The creation fields of a new resource."""
        return {"created": self.clock.now(), "created_elapsed": self.clock.elapsed()}

    def role_of(self, instance: Instance) -> str:
        """What an instance is for, as its tags say; durations and faults can differ by it."""
        return instance.tags.get(self._role_tag, "")

    def new_id(self, prefix: str) -> str:
        """A new resource id such as `ami-0123456789abcdef0`."""
        return f"{prefix}-{secrets.token_hex(9)[:17]}"

    def arn(self, kind: str, resource_id: str, *, owned: bool = True) -> str:
        """A resource's ARN; images and snapshots have no account in theirs."""
        return f"arn:aws:ec2:{self.region}:{self.account_id if owned else ''}:{kind}/{resource_id}"

    def settled(self, resource: Resource) -> bool:
        """Whether a resource is old enough to be seen (EC2's eventual consistency)."""
        return self.clock.elapsed() - resource.created_elapsed >= self.durations.consistency

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something to the state after a number of emulated seconds."""

        def run() -> None:
            with self.lock:
                action()

        self.clock.call_later(seconds, run)


def _no_parameters(name: str) -> str:
    raise ApiError("InvalidParameterValue", f"the parameter {name} does not exist")


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


def require_id(prefix: str, resource_id: str, code: str, expecting: str | None = None) -> None:
    """Refuse an id that cannot be one.

    Raises:
        ApiError: `<code>.Malformed`.
    """
    match = _ID.fullmatch(resource_id)
    if match is None or match.group(1) != prefix:
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
