"""How one environment is built, verified, published and retired. Durations are in seconds, sizes in GiB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ami_lifecycle.domain.model import Frozen

EnvironmentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
ApplicationName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
# ECR API reference, PutImage: repositoryName and imageTag.
RepositoryName = Annotated[
    str,
    Field(
        pattern=r"^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$",
        min_length=2,
        max_length=256,
    ),
]
ImageTag = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
SubnetId = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
PortMapping = Annotated[str, Field(pattern=r"^[0-9]{1,5}(?::[0-9]{1,5})?$")]
VolumeMapping = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*:/[A-Za-z0-9._/-]*(?::ro)?$")]
NvidiaDriver = Annotated[str, Field(pattern=r"^[0-9]{3}(?:-server)?(?:-open)?$")]
EnvironmentVariable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class BuilderSettings(Frozen):
    """The instances that build and verify: tried type by type, and each type subnet by subnet."""

    instance_types: tuple[InstanceType, ...] = Field(("m7i.large", "m6i.large", "m5.large"), min_length=1)
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    subnet_ids: tuple[SubnetId, ...] = ()
    root_volume_gib: int = Field(40, ge=8, le=16_384)
    volume_type: Literal["gp3", "gp2", "io2"] = "gp3"
    iops: int = Field(3_000, ge=3_000, le=80_000)
    throughput: int = Field(250, ge=125, le=2_000)
    minimum_free_gib: int = Field(10, ge=0, le=16_384)
    agent_boot_seconds: int = Field(35, ge=0, le=600)
    self_destruct_minutes: int = Field(180, ge=30, le=1_440)


class ContainerSettings(Frozen):
    """How the image's systemd unit runs the container. Ports and volumes are `host:container`, as Docker
    writes them; `shm_mib` 0 leaves Docker's default.
    """

    ports: tuple[PortMapping, ...] = ("8188:8188",)
    environment: Mapping[EnvironmentVariable, str] = Field(default_factory=dict)
    command: tuple[str, ...] = ()
    volumes: tuple[VolumeMapping, ...] = ()
    shm_mib: int = Field(0, ge=0, le=999_999)
    gpu: bool = False
    nvidia_toolkit: bool = False
    nvidia_driver: NvidiaDriver | None = None


class HealthCheck(Frozen):
    """What the canary must answer before the image counts as verified.

    `none`: the container stays up. `http`: a status from 200 to 399 on this port and path. `command`: the
    shell command succeeds in the container.
    """

    kind: Literal["none", "http", "command"] = "none"
    port: int = Field(8188, ge=1, le=65_535)
    path: str = Field("/", pattern=r"^/[A-Za-z0-9._~/?=&%-]{0,200}$")
    command: str = Field("", max_length=1_000)
    timeout_seconds: int = Field(300, ge=5, le=1_800)

    @model_validator(mode="after")
    def _command_has_words(self) -> Self:
        if self.kind == "command" and not self.command:
            raise ValueError("command is empty; name the command to run, or set kind: none")
        return self


class VerificationSettings(Frozen):
    """Whether and how a candidate is booted and checked before it is published."""

    enabled: bool = True
    health_check: HealthCheck = Field(default_factory=HealthCheck)


class PublicationSettings(Frozen):
    """The name of the published image, and how long launches in flight may still use the old one."""

    image_naming: Literal["canonical", "unique"] = "canonical"
    grace_period_seconds: int = Field(60, ge=0, le=86_400)
    history_to_keep: int = Field(100, ge=1, le=5_000)


class RetirementSettings(Frozen):
    """What keeps an old image: how many are kept anyway, and which uses protect beyond the usual ones."""

    keep_previous: int = Field(0, ge=0, le=50)
    protect_launch_permissions: bool = True
    protect_running_instances: bool = False


class RefreshSettings(Frozen):
    """When the next build starts from Ubuntu again instead of from the previous image."""

    max_generations: int | None = Field(None, ge=1, le=10_000)
    max_base_age_days: int | None = Field(None, ge=1, le=3_650)


class EnvironmentSettings(Frozen):
    """All settings of one environment, resolved; part of the plan, so that a build never mixes two versions."""

    application: ApplicationName
    environment: EnvironmentName
    repository: RepositoryName
    image_tag: ImageTag
    image_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9()\[\] ./'@_-]{3,80}$")]
    builder: BuilderSettings = Field(default_factory=BuilderSettings)
    container: ContainerSettings = Field(default_factory=ContainerSettings)
    verification: VerificationSettings = Field(default_factory=VerificationSettings)
    publication: PublicationSettings = Field(default_factory=PublicationSettings)
    retirement: RetirementSettings = Field(default_factory=RetirementSettings)
    refresh: RefreshSettings = Field(default_factory=RefreshSettings)
    reconcile_attempts: int = Field(3, ge=0, le=20)

    @property
    def parameter_prefix(self) -> str:
        """Path below which consumers find this environment."""
        return f"/{self.application}/ami/{self.environment}"
