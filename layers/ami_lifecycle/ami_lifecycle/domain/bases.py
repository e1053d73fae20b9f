"""The image of others that a fresh build starts from: how it is named, whose it must be, and what makes it unusable."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from pydantic import (
    ConfigDict,
    Field,
    StrictStr,
    model_serializer,
    model_validator,
)

from ami_lifecycle.domain.forms import BaseImageId, BaseImageName, BaseOwner, BaseParameter
from ami_lifecycle.domain.model import Frozen, Image, ImageState

# dpkg's names of EC2's architectures, which Canonical and Debian use in their parameters.
_DPKG_NAMES: Final[Mapping[str, str]] = {"x86_64": "amd64", "arm64": "arm64"}
_SELF: Final = "self"
_NOT_IN_TAGS: Final = re.compile(r"[^A-Za-z0-9 _.:/=+@-]")
_TAG_CHARACTERS: Final = 200


class Driver(StrEnum):
    """Where a base has NVIDIA's driver from, as far as the documents can install one."""

    UBUNTU_ARCHIVE = "Ubuntu's archive"
    IN_THE_IMAGE = "the image itself"
    NOWHERE = "nowhere"


class Preset(NamedTuple):
    """A base that everybody can use. `owners`: by partition, accounts or EC2's aliases of them."""

    title: str
    parameter: str
    owners: Mapping[str, str]
    publisher: str
    driver: Driver
    has_agent: bool = True


# Canonical, "Ubuntu on AWS", Verify the owner.
_CANONICAL: Final = {"aws": "099720109477", "aws-cn": "837727238323", "aws-us-gov": "513442679011"}
# Debian wiki, Cloud/AmazonEC2Image, and "Amazon EC2 Image, Bookworm": one account for all commercial Regions.
_DEBIAN: Final = {"aws": "136693071363"}
# Amazon's own images have owners that differ by Region; EC2 calls all of them `amazon` (EC2 API reference, Image,
# ImageOwnerAlias), and nobody but AWS can write parameters below /aws/ (SSM API reference, PutParameter, Name).
_AMAZON: Final = {"aws": "amazon", "aws-cn": "amazon", "aws-us-gov": "amazon"}


def _ubuntu(version: str, volume: str) -> Preset:
    """Canonical, "Find Ubuntu images on AWS": server/RELEASE/stable/current/ARCHITECTURE/hvm/VOLUME/ami-id."""
    return Preset(
        f"Ubuntu {version}",
        f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{{dpkg_architecture}}/hvm/{volume}/ami-id",
        _CANONICAL,
        "Canonical",
        Driver.UBUNTU_ARCHIVE,
    )


def _debian(version: str) -> Preset:
    """Debian wiki, Cloud/AmazonEC2Image: release/VERSION/latest/ARCHITECTURE.

    Debian is not among the images that have the agent (Systems Manager user guide, "Find AMIs with the SSM Agent
    preinstalled").
    """
    return Preset(
        f"Debian {version}",
        f"/aws/service/debian/release/{version}/latest/{{dpkg_architecture}}",
        _DEBIAN,
        "Debian",
        Driver.NOWHERE,
        has_agent=False,
    )


def _deep_learning(system: str, title: str) -> Preset:
    """AWS Deep Learning AMIs developer guide, "Finding the ID of a DLAMI": ami/ARCHITECTURE/TYPE/latest/ami-id."""
    return Preset(
        f"Deep Learning Base with NVIDIA's driver, {title}",
        f"/aws/service/deeplearning/ami/{{architecture}}/base-oss-nvidia-driver-gpu-{system}/latest/ami-id",
        _AMAZON,
        "Amazon",
        Driver.IN_THE_IMAGE,
    )


DEFAULT_PRESET: Final = "ubuntu-22.04"
PRESETS: Final[Mapping[str, Preset]] = {
    DEFAULT_PRESET: _ubuntu("22.04", "ebs-gp2"),
    "ubuntu-24.04": _ubuntu("24.04", "ebs-gp3"),
    "debian-12": _debian("12"),
    "debian-13": _debian("13"),
    # Amazon Linux 2023 user guide, "Get the AMI ID using Parameter Store".
    "amazon-linux-2023": Preset(
        "Amazon Linux 2023",
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}",
        _AMAZON,
        "Amazon",
        Driver.NOWHERE,
    ),
    "deep-learning-ubuntu-22.04": _deep_learning("ubuntu-22.04", "Ubuntu 22.04"),
    "deep-learning-ubuntu-24.04": _deep_learning("ubuntu-24.04", "Ubuntu 24.04"),
    "deep-learning-amazon-linux-2023": _deep_learning("amazon-linux-2023", "Amazon Linux 2023"),
}


class NewestImage(Frozen):
    """The newest available image of an owner whose name matches; `*` and `?` as in EC2's filters."""

    owner: BaseOwner
    name: BaseImageName


class BaseSettings(Frozen):
    """The base: one of the presets, or a parameter, an image or the newest of a name, and whose image it must be.

    Whoever reads it from a file writes a preset's name alone, or a mapping of the others.
    """

    model_config = ConfigDict(title="Base")

    preset: StrictStr | None = None
    parameter: BaseParameter | None = Field(
        None,
        description="Parameter that holds the id of an image. `{architecture}` becomes x86_64 or arm64, "
        "`{dpkg_architecture}` amd64 or arm64.",
    )
    image_id: BaseImageId | None = Field(None, description="Id of an image of the stack's Region.")
    newest: NewestImage | None = Field(
        None, description="The newest available image of this owner whose name matches."
    )
    owners: tuple[BaseOwner, ...] = Field(
        (), description="Whose image it must be, beside `parameter` or `image_id`."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_is_a_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping | BaseSettings):
            return value
        if isinstance(value, str) and value in PRESETS:
            return {"preset": value}
        close = difflib.get_close_matches(str(value), list(PRESETS), n=1)
        raise ValueError(
            f"{f'did you mean {close[0]}? ' if close else ''}write one of {', '.join(PRESETS)}, or a mapping with "
            f"parameter, image_id or newest (got {value!r:.120})"
        )

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        named = [
            key for key in ("preset", "parameter", "image_id", "newest") if getattr(self, key) is not None
        ]
        if len(named) != 1:
            raise ValueError(
                f"names {' and '.join(named) or 'nothing'}; name one of parameter, image_id and newest, or write a "
                f"preset alone: {', '.join(PRESETS)}"
            )
        if self.preset is not None and self.preset not in PRESETS:
            raise ValueError(f"preset is {self.preset!r:.60}; write one of {', '.join(PRESETS)}")
        if named[0] in {"parameter", "image_id"} and not self.owners:
            raise ValueError(
                f"{named[0]} stands without owners; name whose image it must be, the id of an account in quotes, self "
                "or amazon: owners: ['123456789012']"
            )
        if named[0] in {"preset", "newest"} and self.owners:
            raise ValueError(
                f"owners stands beside {named[0]}, which says whose image it is; leave owners out"
            )
        return self

    @model_serializer(mode="plain")
    def _as_written(self) -> Any:
        if self.preset is not None:
            return self.preset
        written: dict[str, Any] = {
            "parameter": self.parameter,
            "image_id": self.image_id,
            "newest": self.newest.model_dump() if self.newest else None,
            "owners": list(self.owners),
        }
        return {key: value for key, value in written.items() if value}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """A preset's name, or a mapping without one."""
        mapping = handler.resolve_ref_schema(handler(schema))
        # Of what it writes, pydantic sees no fields.
        mapping.setdefault("type", "object")
        mapping.get("properties", {}).pop("preset", None)
        mapping.pop("title", None)
        return {"anyOf": [{"enum": list(PRESETS), "type": "string"}, mapping]}

    @property
    def known(self) -> Preset | None:
        """The preset, where it is one."""
        return PRESETS[self.preset] if self.preset is not None else None

    @property
    def text(self) -> str:
        """The setting in one line, the same for the same setting: for tags, records and people."""
        if self.preset is not None:
            return self.preset
        if self.newest is not None:
            return f"newest {self.newest.name} of {self.newest.owner}"
        return f"{self.parameter or self.image_id} of {' or '.join(self.owners)}"

    @property
    def tag(self) -> str:
        """The text as the value of a tag, which takes 256 characters and not all of them (EC2 user guide, Tag
        restrictions); where it had to be changed, a hash keeps it apart from others.
        """
        plain = _NOT_IN_TAGS.sub("_", self.text)
        if plain == self.text and len(plain) <= _TAG_CHARACTERS:
            return plain
        return f"{plain[:_TAG_CHARACTERS]} {hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    @property
    def field(self) -> str:
        """The key that a person corrects when the base cannot be used."""
        if self.preset is not None:
            return "base"
        return f"base.{'parameter' if self.parameter else 'image_id' if self.image_id else 'newest'}"

    @property
    def may_lack_agent(self) -> bool:
        """Whether an agent may have to be installed before anything can be run; of what is no preset nobody knows."""
        return self.known is None or not self.known.has_agent

    def parameter_name(self, architecture: str) -> str | None:
        """The parameter that names the image for an architecture; None where none does."""
        pattern = self.known.parameter if self.known else self.parameter
        if pattern is None:
            return None
        return pattern.replace("{architecture}", architecture).replace(
            "{dpkg_architecture}", _DPKG_NAMES[architecture]
        )

    def owners_in(self, partition: str) -> tuple[str, ...]:
        """Whose image it must be; nobody's where the preset is not published in a partition."""
        if self.known is not None:
            return tuple(owner for place, owner in self.known.owners.items() if place == partition)
        return (self.newest.owner,) if self.newest else self.owners


def is_of(image: Image, owners: tuple[str, ...], account_id: str) -> bool:
    """Whether one of these owns an image: an account, `self`, or what EC2 calls its owner."""
    accounts = {account_id if owner == _SELF else owner for owner in owners}
    return image.owner_id in accounts or (image.owner_alias or "") in accounts


def problem_of_image(
    base: BaseSettings, image: Image, *, architecture: str, partition: str, account_id: str
) -> str | None:
    """Why a build cannot start from the image that the base names, and the remedy; None when it can."""
    name, owners = image.image_id, base.owners_in(partition)
    if not is_of(image, owners, account_id):
        who = f"{image.owner_id}{f' ({image.owner_alias})' if image.owner_alias else ''}"
        return (
            f"{base.field} names {name}, which {who} owns, and not {' or '.join(owners) or 'anybody known'}; find out "
            "who has changed what it names"
            + ("" if base.known else ", or name its owner in base.owners if you trust it")
        )
    if image.architecture != architecture:
        return (
            f"{base.field} names {name}, which is {image.architecture}, but builder.architecture is {architecture}; "
            "name an image for it, or correct builder.architecture and builder.instance_types"
        )
    if image.platform == "windows":
        return f"{base.field} names {name}, which runs Windows; name an image of Linux"
    if image.root_device_type != "ebs" or image.virtualization_type != "hvm":
        return (
            f"{base.field} names {name}, whose root device is {image.root_device_type} and whose virtualization is "
            f"{image.virtualization_type}; name one with an EBS root volume (ebs) and hvm, of which EC2 makes images"
        )
    if image.state is not ImageState.AVAILABLE:
        return f"{base.field} names {name}, which is {image.state.value}; build when it is available, or name another"
    return None
