"""How one environment is built, verified, published and retired. Durations are in seconds, sizes in GiB."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StrictInt, field_validator, model_validator

from ami_lifecycle.domain.alarm_settings import RollbackOnAlarm, no_alarms
from ami_lifecycle.domain.bases import DEFAULT_PRESET, BaseSettings, Driver
from ami_lifecycle.domain.forms import (
    ENCODED_CHARACTERS,
    LISTED_CHARACTERS,
    METADATA_TAG,
    ApplicationName,
    ClockTime,
    Device,
    EnvironmentName,
    HealthPath,
    ImageName,
    ImageTag,
    InstanceType,
    NvidiaDriver,
    ParameterPath,
    PlainText,
    PortMapping,
    RepositoryName,
    Restart,
    ScriptText,
    SecretSource,
    SubnetId,
    TimeZone,
    Ulimit,
    VariableName,
    VariableSource,
    VolumeMapping,
)
from ami_lifecycle.domain.gate_settings import ApprovalSettings
from ami_lifecycle.domain.hook_documents import HookProgram
from ami_lifecycle.domain.hooks import HookSettings
from ami_lifecycle.domain.model import Frozen
from ami_lifecycle.domain.naming import ParameterNames
from ami_lifecycle.domain.recipe import recipe_of
from ami_lifecycle.domain.scan_settings import ScanSettings, no_scan
from ami_lifecycle.domain.tagging import problem_of_tags

__all__ = ["EnvironmentName", "EnvironmentSettings", "ImageTag"]

# EBS user guide, General Purpose SSD and Provisioned IOPS SSD volumes.
_GP3_IOPS_PER_GIB = 500
_IO2_IOPS_PER_GIB = 1_000
_BASE_IOPS = 3_000
_IOPS_PER_MIB_A_SECOND = 4
# EC2 user guide, "Instance metadata categories": what holds keys of a role, of Instance Connect or of AWS's own.
_CREDENTIALS = ("iam/security-credentials", "identity-credentials", "managed-ssh-keys", "public-keys")
_OWN_TAGS = "ami-lifecycle:"


class BuilderSettings(Frozen):
    """The instances that build and verify: tried type by type, and each type subnet by subnet."""

    instance_types: tuple[InstanceType, ...] = Field(("m7i.large", "m6i.large", "m5.large"), min_length=1)
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    subnet_ids: tuple[SubnetId, ...] = ()
    root_volume_gib: StrictInt = Field(40, ge=8, le=16_384)
    volume_type: Literal["gp3", "gp2", "io2"] = "gp3"
    iops: StrictInt = Field(3_000, ge=3_000, le=80_000)
    throughput: StrictInt = Field(250, ge=125, le=2_000)
    minimum_free_gib: StrictInt = Field(10, ge=0, le=16_384)
    agent_boot_seconds: StrictInt = Field(35, ge=0, le=600)
    self_destruct_minutes: StrictInt = Field(180, ge=30, le=1_440)

    @model_validator(mode="after")
    def _volume_is_one_that_ebs_makes(self) -> Self:
        most = self.root_volume_gib * (_IO2_IOPS_PER_GIB if self.volume_type == "io2" else _GP3_IOPS_PER_GIB)
        if self.volume_type != "gp2" and self.iops > max(
            most, _BASE_IOPS if self.volume_type == "gp3" else 0
        ):
            raise ValueError(
                f"iops is {self.iops}, but a {self.volume_type} volume of {self.root_volume_gib} GiB has at most "
                f"{most}; lower iops or raise root_volume_gib"
            )
        if self.volume_type == "gp3" and self.throughput * _IOPS_PER_MIB_A_SECOND > self.iops:
            raise ValueError(
                f"throughput is {self.throughput}, for which gp3 needs iops of at least "
                f"{self.throughput * _IOPS_PER_MIB_A_SECOND}; raise iops, which is {self.iops}, or lower throughput"
            )
        return self


class ContainerSettings(Frozen):
    """How the image's systemd unit runs the container. Ports and volumes are `host:container`, as Docker
    writes them; `shm_mib` 0 leaves Docker's default. `ipc`, `network`, `ulimits`, `devices` and `restart` are named and
    written as in `docker run`; what is not set is as Docker has it, and `restart` always. `secrets` and
    `instance_variables` are variables, too, whose values each instance fetches when it starts the container.
    """

    ports: tuple[PortMapping, ...] = ("8188:8188",)
    environment: Mapping[VariableName, PlainText] = Field(default_factory=dict)
    command: tuple[PlainText, ...] = ()
    volumes: tuple[VolumeMapping, ...] = ()
    shm_mib: StrictInt = Field(0, ge=0, le=999_999)
    ipc: Literal["private", "shareable", "host", "none"] | None = None
    network: Literal["bridge", "host", "none"] | None = None
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()
    restart: Restart = "always"
    secrets: Mapping[VariableName, SecretSource] = Field(default_factory=dict)
    instance_variables: Mapping[VariableName, VariableSource] = Field(default_factory=dict)
    gpu: StrictBool = False
    nvidia_toolkit: StrictBool = False
    nvidia_driver: NvidiaDriver | None = None

    @model_validator(mode="after")
    def _docker_can_run_it(self) -> Self:
        self._require_sense_of_modes()
        hosts = [port.split(":")[0] for port in self.ports]
        if twice := _twice(hosts):
            raise ValueError(f"ports use port {twice} of the host twice; give each its own")
        inside = [
            posixpath.normpath(f"/{volume.split(':')[1]}").replace("//", "/") for volume in self.volumes
        ]
        if "/" in inside:
            raise ValueError(
                "volumes mount over / of the container, which Docker refuses; name a directory below it"
            )
        if twice := _twice(inside):
            raise ValueError(f"volumes mount {twice} of the container twice; give each its own")
        for name, text, longest in (
            ("ports", ",".join(self.ports), LISTED_CHARACTERS),
            ("volumes", ",".join(self.volumes), LISTED_CHARACTERS),
            ("ulimits", ",".join(self.ulimits), LISTED_CHARACTERS),
            ("devices", ",".join(self.devices), LISTED_CHARACTERS),
            ("environment", encoded(self.environment), ENCODED_CHARACTERS),
            ("command", encoded(self.command), ENCODED_CHARACTERS),
            ("secrets and instance_variables", encoded(self.values_at_start), ENCODED_CHARACTERS),
        ):
            if len(text) > longest:
                raise ValueError(
                    f"{name} takes {len(text)} characters as a parameter of the document, at most {longest} fit; "
                    "shorten it, or put it into a file of the Docker image"
                )
        return self

    @model_validator(mode="after")
    def _values_at_start_make_sense(self) -> Self:
        if twice := _twice((*self.environment, *self.secrets, *self.instance_variables)):
            raise ValueError(
                f"{twice} is in more than one of environment, secrets and instance_variables; leave it in one"
            )
        for name, source in self.instance_variables.items():
            kind, _, rest = source.partition(":")
            path = rest.partition("|")[0]
            if kind == "tag" and path in {".", "..", "_index"}:
                raise ValueError(
                    f"instance_variables has {name}: {source}, a name that EC2 reserves; use another tag"
                )
            # A web server takes a//b and a/./b for a/b.
            parts = [part for part in path.split("/") if part not in {"", "."}]
            if kind == "imds" and (".." in parts or "/".join(parts).startswith(_CREDENTIALS)):
                raise ValueError(
                    f"instance_variables has {name}: {source}, which holds credentials or leaves meta-data; containers "
                    "fetch credentials themselves (verification.metadata_hop_limit), and values are below meta-data"
                )
        return self

    @property
    def values_at_start(self) -> Mapping[str, Mapping[str, str]]:
        """The variables that an instance fetches when it starts the container, by kind."""
        named = {"secrets": dict(self.secrets), "instance_variables": dict(self.instance_variables)}
        return {kind: sources for kind, sources in named.items() if sources}

    @property
    def reads_tags(self) -> bool:
        """Whether a variable is a tag of the instance."""
        return any(source.startswith("tag:") for source in self.instance_variables.values())

    def _require_sense_of_modes(self) -> None:
        """Raises `ValueError` for combinations that Docker refuses or ignores."""
        if self.ports and self.network in {"host", "none"}:
            raise ValueError(
                f"network is {self.network}, with which Docker publishes no ports, but ports are "
                f"{', '.join(self.ports)}; set ports: [], or another network"
            )
        if self.shm_mib and self.ipc in {"host", "none"}:
            raise ValueError(
                f"ipc is {self.ipc}, with which the container has no /dev/shm of its own, but shm_mib is "
                f"{self.shm_mib}; set shm_mib: 0, or another ipc"
            )
        for limit in self.ulimits:
            name, _, values = limit.partition("=")
            soft, _, hard = values.partition(":")
            # setrlimit(2): beyond fs.nr_open the kernel refuses it, and Docker then starts no container.
            if name == "nofile" and "-1" in (soft, hard):
                raise ValueError(
                    f"ulimits has {limit}, which no kernel takes; name a number, nofile=1048576 at most"
                )
            # docker/go-units, ParseUlimit: without limit (-1) is more than any.
            if hard not in {"", "-1"} and (soft == "-1" or int(soft) > int(hard)):
                raise ValueError(
                    f"ulimits has {limit}, whose soft limit is above the hard one; write soft:hard"
                )
        if twice := _twice(limit.partition("=")[0] for limit in self.ulimits):
            raise ValueError(f"ulimits name {twice} twice; give it one limit")
        inside = [posixpath.normpath(_path_inside(device)) for device in self.devices]
        if any(".." in device.split("/") for path in self.devices for device in path.split(":")):
            raise ValueError("devices have a path with ..; write the path itself")
        if twice := _twice(inside):
            raise ValueError(f"devices give the container {twice} twice; give each its own path")


class HealthCheck(Frozen):
    """What the canary must answer before the image counts as verified.

    `none`: the container stays up. `http`: a status from 200 to 399 on this port and path. `command`: the
    shell command succeeds in the container.
    """

    kind: Literal["none", "http", "command"] = "none"
    port: StrictInt = Field(8188, ge=1, le=65_535)
    path: HealthPath = "/"
    command: Annotated[ScriptText, Field(max_length=1_000)] = ""
    timeout_seconds: StrictInt = Field(300, ge=5, le=1_800)

    @model_validator(mode="after")
    def _command_has_words(self) -> Self:
        if self.kind == "command" and not self.command.strip():
            raise ValueError("command is empty; name the command to run, or set kind: none")
        return self


class VerificationSettings(Frozen):
    """Whether and how a candidate is booted and checked before it is published.

    `metadata_hop_limit` is the canary's HttpPutResponseHopLimit. With 1 its container does not reach the
    instance metadata, and so not the canary's role either; one that asks it for its Region needs 2.
    """

    enabled: StrictBool = True
    metadata_hop_limit: StrictInt = Field(1, ge=1, le=64)
    health_check: HealthCheck = Field(default_factory=HealthCheck)


class LaunchSettings(Frozen):
    """How instances are launched from the image: the canary, and, by what the record says, the consumers' own.

    `initialization_rate` is the VolumeInitializationRate of each volume, in MiB/s; 0 asks for none.
    """

    # EC2 API reference, EbsBlockDevice, VolumeInitializationRate: 100 to 300.
    initialization_rate: StrictInt = Field(0, ge=0, le=300)
    initialization_usd_per_gib: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    initialization_quota: StrictInt = Field(5_000, ge=100, le=1_000_000)

    @field_validator("initialization_rate")
    @classmethod
    def _rate_is_one_that_ebs_takes(cls, rate: int) -> int:
        if 0 < rate < 100:
            raise ValueError(
                f"initialization_rate is {rate}; EBS takes 100 to 300 MiB/s, and 0 asks for none"
            )
        return rate

    @model_validator(mode="after")
    def _quota_allows_one_volume(self) -> Self:
        if self.initialization_quota < self.initialization_rate:
            raise ValueError(
                f"initialization_quota is {self.initialization_quota}, with which no volume can have the "
                f"initialization_rate of {self.initialization_rate}; lower the rate, or name the"
                " Region's quota, L-A37D9CF3"
            )
        return self


class PublicationSettings(Frozen):
    """The name of the published image, and how long launches in flight may still use the old one."""

    image_naming: Literal["canonical", "unique"] = "canonical"
    grace_period_seconds: StrictInt = Field(60, ge=0, le=86_400)
    history_to_keep: StrictInt = Field(100, ge=1, le=5_000)


class RetirementSettings(Frozen):
    """What keeps an old image: how many are kept anyway, and which uses protect beyond the usual ones; how many may go
    at once, and what is marked in EC2.
    """

    keep_previous: StrictInt = Field(0, ge=0, le=50)
    max_images: StrictInt | None = Field(None, ge=1, le=10_000)
    max_percent: StrictInt | None = Field(None, ge=1, le=100)
    deprecate_kept: StrictBool = False
    deregistration_protection: StrictBool = False
    launch_template_versions: Literal["used", "all"] = Field(
        "used",
        description="which versions of launch templates count as uses: those that something launches, or all",
    )
    # Systems Manager API reference, ParameterStringFilter: 50 values at most.
    parameter_paths: tuple[ParameterPath, ...] = Field(
        ("/",),
        max_length=50,
        description="paths below which String parameters are read for image ids; / is the whole account",
    )
    protect_launch_permissions: StrictBool = True
    protect_running_instances: StrictBool = False


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class RefreshWindow(Frozen):
    """When scheduled rebuilds may start, by the clocks of a time zone. One that ends before it begins goes on after
    midnight and belongs to the day on which it begins; the same time twice is the whole day.
    """

    # In the file and in plans it is `from`, which Python keeps to itself.
    model_config = ConfigDict(serialize_by_alias=True)

    days: tuple[Weekday, ...] = Field(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1)
    opens: ClockTime = Field("00:00", alias="from")
    closes: ClockTime = Field("00:00", alias="to")
    timezone: TimeZone = "UTC"


class RefreshSettings(Frozen):
    """When the next build starts from the base again instead of from the previous image, and when the sweep rebuilds
    what is live, with the same Docker image, for the sake of the base's patches.
    """

    max_generations: StrictInt | None = Field(None, ge=1, le=10_000)
    max_base_age_days: StrictInt | None = Field(None, ge=1, le=3_650)
    rebuild_after_days: StrictInt | None = Field(None, ge=1, le=3_650)
    follow_base: StrictBool = False
    window: RefreshWindow = Field(default_factory=RefreshWindow)
    max_per_sweep: StrictInt = Field(1, ge=1, le=1_000)

    @property
    def is_scheduled(self) -> bool:
        """Whether the environment has scheduled rebuilds."""
        return self.rebuild_after_days is not None or self.follow_base


class EnvironmentSettings(Frozen):
    """All settings of one environment, resolved; part of the plan, so that a build never mixes two versions.

    `tags` go on all that a build makes, beside the service's own. `hook_scripts` are the texts of the scripts that
    `hooks` names, read from beside the file, so that a deployment in the middle of a build changes nothing in it;
    `hook_programs` what its documents do, read from Systems Manager where that matters (`with_programs`).
    Where it `publishes` promotions, pushes, tags and schedules build nothing: releases of other environments are
    promoted, and a build has to be forced.
    """

    application: ApplicationName
    environment: EnvironmentName
    repository: RepositoryName
    image_tag: ImageTag
    publishes: Literal["pushes", "promotions"] = "pushes"
    image_name: ImageName
    base: BaseSettings = BaseSettings(preset=DEFAULT_PRESET)
    builder: BuilderSettings = Field(default_factory=BuilderSettings)
    container: ContainerSettings = Field(default_factory=ContainerSettings)
    verification: VerificationSettings = Field(default_factory=VerificationSettings)
    launch: LaunchSettings = Field(default_factory=LaunchSettings)
    publication: PublicationSettings = Field(default_factory=PublicationSettings)
    retirement: RetirementSettings = Field(default_factory=RetirementSettings)
    refresh: RefreshSettings = Field(default_factory=RefreshSettings)
    approval: ApprovalSettings = Field(default_factory=ApprovalSettings)
    scan: ScanSettings = Field(default_factory=no_scan)
    rollback_on_alarm: RollbackOnAlarm = Field(default_factory=no_alarms)
    hooks: HookSettings = Field(default_factory=HookSettings)
    hook_scripts: Mapping[str, str] = Field(default_factory=dict)
    hook_programs: Mapping[str, HookProgram] = Field(default_factory=dict)
    reconcile_attempts: StrictInt = Field(3, ge=0, le=20)
    tags: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _health_can_be_asked(self) -> Self:
        check = self.verification.health_check
        if self.verification.enabled and check.kind == "http" and self.container.network == "none":
            raise ValueError(
                "container.network is none, so nothing answers verification.health_check of kind http; use kind "
                "command, or another network"
            )
        return self

    @model_validator(mode="after")
    def _driver_can_be_installed(self) -> Self:
        known, driver = self.base.known, self.container.nvidia_driver
        if driver is None or known is None or known.driver is Driver.UBUNTU_ARCHIVE:
            return self
        if known.driver is Driver.IN_THE_IMAGE:
            raise ValueError(
                f"container.nvidia_driver is {driver!r}, but base is {self.base.text}, which has a driver already; "
                "leave container.nvidia_driver out"
            )
        raise ValueError(
            f"container.nvidia_driver is {driver!r}, which comes from Ubuntu's archive, but base is {self.base.text}; "
            "leave it out, or set base: ubuntu-24.04, or deep-learning-ubuntu-24.04 or "
            "deep-learning-amazon-linux-2023, which have a driver"
        )

    @field_validator("tags")
    @classmethod
    def _tags_are_taken(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        if (problem := problem_of_tags(tags)) is not None:
            raise ValueError(problem)
        return tags

    @model_validator(mode="after")
    def _hooks_have_a_canary(self) -> Self:
        if self.hooks.verify and not self.verification.enabled:
            raise ValueError(
                "hooks.verify has no canary to run on, because verification.enabled is false; set it to true, or take "
                "the hooks out"
            )
        return self

    @model_validator(mode="after")
    def _canary_has_the_tags(self) -> Self:
        if not (self.container.reads_tags and self.verification.enabled):
            return self
        refused = next((key for key in self.tags if not re.fullmatch(METADATA_TAG, key)), None)
        if refused is not None:
            raise ValueError(
                f"tags has {refused!r}, with which EC2 launches no instance whose metadata have its tags, as "
                "container.instance_variables wants; use letters, digits and _ + = , . @ : - in it"
            )
        for name, source in self.container.instance_variables.items():
            kind, _, rest = source.partition(":")
            key, otherwise, _ = rest.partition("|")
            known = key in self.tags or key == "Name" or key.startswith(_OWN_TAGS)
            if kind == "tag" and not otherwise and not known:
                raise ValueError(
                    f"container.instance_variables has {name}: {source}, a tag that the canary has not, so that no "
                    f"image would be verified; write {source}|DEFAULT, or add {key} to tags"
                )
        return self

    @property
    def recipe(self) -> str | None:
        """What an image is made with beside the Docker image; None for the default base without hooks."""
        base = None if self.base.preset == DEFAULT_PRESET else self.base.text
        return recipe_of(self.hooks, self.hook_scripts, base, self.hook_programs)

    @property
    def takes_promotions(self) -> bool:
        """Whether the environment publishes what is promoted to it, and not what is pushed."""
        return self.publishes == "promotions"

    @property
    def scan_gate(self) -> ScanSettings | None:
        """What a scan has to show before anything is published; None where nobody asks for one."""
        return self.scan if self.scan.enabled else None

    @property
    def is_rebuilt(self) -> bool:
        """Whether the sweep rebuilds what is live."""
        return self.refresh.is_scheduled and not self.takes_promotions

    @property
    def parameter_names(self) -> ParameterNames:
        """Names of the parameters that this environment publishes."""
        return ParameterNames(self.application, self.environment)


def encoded(value: Mapping[str, Any] | Iterable[str]) -> str:
    """A mapping or a list as a document's parameter: base64 of JSON, or a dash if empty."""
    plain = dict(value) if isinstance(value, Mapping) else list(value)
    return base64.b64encode(json.dumps(plain).encode()).decode() if plain else "-"


def _path_inside(device: str) -> str:
    """Where a container finds a device."""
    outside, *rest = device.split(":")
    return rest[0] if rest and rest[0].startswith("/") else outside


def _twice(values: Iterable[str]) -> str | None:
    """The first duplicate value."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
