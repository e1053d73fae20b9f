"""What is in an image: the packages of its system, what runs its container, and the layers of its Docker image.

The canary says it in a line of its facts, and it becomes a JSON document that is the same for the same content, one
package to a line, so that any tool for texts shows how two differ.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ami_lifecycle.domain.model import Digest
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.domain.requests import explain

# A canary's line takes 24,000 characters; this is what it holds at most once it is unpacked.
MOST_BYTES: Final = 2**21
_FIELDS: Final = ("name", "version", "architecture")

Kind = Literal["deb", "rpm", "snap"]
# Names, versions and architectures are words of ASCII (Debian policy manual, 5.6; RPM reference manual, spec syntax).
Word = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
Line = Annotated[str, Field(pattern=r"^[ -~]{1,200}$")]


class Package(BaseModel):
    """A package of the system; `kind` is what manages it."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    kind: Kind
    name: Word
    version: Word
    architecture: Word


class PackageList(BaseModel):
    """The document. It has no date, so that it differs only where images do.

    Attributes:
        release: name of the release that it is of, as `build.json` on its instances says.
        components: versions of what is asked for first, by name: the system, its kernel, Docker, the NVIDIA driver.
        layers: of the Docker image, by the digests of their contents, the lowest first.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    schema_version: Literal[1] = 1
    environment: str
    release: str
    image_digest: Digest
    components: Mapping[Word, Line] = Field(default_factory=dict)
    packages: tuple[Package, ...] = ()
    layers: tuple[Digest, ...] = ()


class _Told(BaseModel):
    """What a canary tells: in rows, each a name, a version and an architecture with tabs between."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    components: Mapping[Word, Line]
    packages: Mapping[Kind, str]
    layers: tuple[Digest, ...]


def package_key(environment: str, release: str | None, digest: str) -> str | None:
    """Key of the list of a release in the bucket; None where the release is not known.

    Images of a release are made of the same disks, so an image that is registered again has the same list.
    """
    name = release_name(release, digest)
    return f"packages/{environment}/{name}.json" if name else None


def told_packages(text: str, *, environment: str, release: str, digest: str) -> PackageList:
    """The list that a canary tells.

    Args:
        text: base64 of compressed JSON (RFC 1950).
        release: its name.

    Raises:
        ValueError: it cannot be read.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"it cannot be unpacked ({error})") from error
    if not unpacker.eof:
        raise ValueError(f"it is cut off, or larger than {MOST_BYTES} bytes")
    try:
        told = _Told.model_validate_json(content)
        packages = [
            Package.model_validate({"kind": kind, **dict(zip(_FIELDS, row.split("\t"), strict=True))})
            for kind, rows in told.packages.items()
            for row in rows.splitlines()
        ]
    except ValidationError as error:
        raise ValueError(explain(error)) from error
    return PackageList(
        environment=environment,
        release=release,
        image_digest=digest,
        components=dict(sorted(told.components.items())),
        packages=tuple(
            sorted(packages, key=lambda each: (each.kind, each.name, each.architecture, each.version))
        ),
        layers=told.layers,
    )


def dump_packages(listed: PackageList) -> str:
    """The document, one package to a line."""
    values = listed.model_dump(mode="json")
    packages, layers = values.pop("packages"), values.pop("layers")
    # JSON's own indentation of the rest, without its closing brace.
    rest = json.dumps(values, indent=1).removesuffix("\n}")
    return f'{rest},\n "packages": {_in_lines(packages)},\n "layers": {_in_lines(layers)}\n}}\n'


def _in_lines(values: Sequence[object]) -> str:
    lines = ",\n".join(f"  {json.dumps(each)}" for each in values)
    return f"[\n{lines}\n ]" if lines else "[]"


def load_packages(text: str) -> PackageList:
    """Parse a document.

    Raises:
        ValueError: it is none.
    """
    try:
        return PackageList.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(explain(error)) from error
