"""The plan of an execution."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from ami_lifecycle.domain.approval import Ask
from ami_lifecycle.domain.model import AmiId, Digest, Frozen, VolatileDevice
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.scans import ScanFacts
from ami_lifecycle.domain.settings import EnvironmentName, EnvironmentSettings


class BuildMode(StrEnum):
    """Whether a build starts from the base or from the environment's own image."""

    FRESH = "fresh"
    UPDATE = "update"


class Source(Frozen):
    """The Docker image that is built in. `size_bytes`: of its compressed layers, where the registry tells it."""

    repository_uri: str
    digest: Digest
    tag: str | None = None
    size_bytes: int | None = None

    @property
    def reference(self) -> str:
        """`registry/repository:tag`, or by digest where no tag is known."""
        return f"{self.repository_uri}:{self.tag}" if self.tag else f"{self.repository_uri}@{self.digest}"


class Base(Frozen):
    """The image that the builder boots. `setting` is what `base` says, `original_id` the image of others that it named,
    and `created` that image's date: an update passes on those of the image below.
    """

    image_id: AmiId
    root_device_name: str
    root_volume_gib: int | None = None
    volatile_devices: tuple[VolatileDevice, ...] = ()
    created: datetime | None = None
    setting: str | None = None
    original_id: AmiId | None = None


class Promotion(Frozen):
    """The image whose disks are promoted, in its environment; and the environment that they were built for."""

    environment: EnvironmentName
    image_id: AmiId
    release: str
    built_for: EnvironmentName


class BuildPlan(Frozen):
    """Everything that was decided at the beginning of an execution; the same for all its steps."""

    action: Action
    trigger: Trigger
    environment: str
    reasons: tuple[str, ...]
    run_id: str = ""
    settings: EnvironmentSettings | None = None
    fencing: int = 0
    source: Source | None = None
    mode: BuildMode | None = None
    base: Base | None = None
    generation: int = 1
    promotion: Promotion | None = None
    scan: ScanFacts | None = None
    request: BuildRequest | None = None
    ask: Ask | None = None

    @property
    def configured(self) -> EnvironmentSettings:
        """The settings, which every plan that does something has."""
        if self.settings is None:
            raise ValueError(f"the plan for {self.environment} does nothing and has no settings")
        return self.settings

    @property
    def image(self) -> Source:
        """The Docker image, which every plan that builds has."""
        if self.source is None:
            raise ValueError(f"the plan for {self.environment} names no Docker image")
        return self.source

    @property
    def promoted(self) -> Promotion:
        """What is promoted, which every plan that promotes has."""
        if self.promotion is None:
            raise ValueError(f"the plan for {self.environment} promotes nothing")
        return self.promotion

    @property
    def asked(self) -> Ask:
        """What is asked, which every plan that asks has."""
        if self.ask is None:
            raise ValueError(f"the plan for {self.environment} asks nobody for anything")
        return self.ask

    @property
    def candidate_name(self) -> str:
        """Name of the image until it is adopted under the canonical one."""
        return f"{self.configured.image_name}.candidate.{self.run_id}"
