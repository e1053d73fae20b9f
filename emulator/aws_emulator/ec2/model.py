"""The state of the emulated EC2: instances, volumes, snapshots, images, launch templates.

`content` models what is on a disk: which Docker image was provisioned, the version of the SSM agent, and so on. It
belongs to a volume, is copied into snapshots, and from there onto the volumes of new instances.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

Content = dict[str, Any]
Tags = dict[str, str]


@dataclass(kw_only=True)
class Resource:
    """Common fields of all resources; `sequence` orders by creation and is the paging key."""

    _counter: ClassVar[itertools.count[int]] = itertools.count(1)

    tags: Tags = field(default_factory=dict)
    created: datetime
    created_elapsed: float
    sequence: int = field(default_factory=lambda: next(Resource._counter))


@dataclass(kw_only=True)
class BlockDevice:
    """One block device mapping with an EBS snapshot or an empty volume; sizes in GiB."""

    device_name: str
    snapshot_id: str | None = None
    volume_size: int = 8
    volume_type: str = "gp2"
    iops: int | None = None
    throughput: int | None = None
    delete_on_termination: bool = True
    encrypted: bool = False
    key_arn: str | None = None
    initialization_rate: int | None = None


@dataclass(kw_only=True)
class Volume(Resource):
    """An EBS volume; `state` is available, in-use or deleted. `initialized`: when it will be, at a rate asked for."""

    volume_id: str
    zone: str
    device: BlockDevice
    state: str = "in-use"
    instance_id: str | None = None
    attached: datetime | None = None
    initialized: datetime | None = None
    content: Content = field(default_factory=dict)
    boot_mode: str | None = None


@dataclass(kw_only=True)
class Snapshot(Resource):
    """An EBS snapshot; `state` is pending, completed or error. `boot_mode` is what the disk boots with."""

    snapshot_id: str
    owner_id: str
    volume_id: str
    size: int
    description: str
    state: str = "pending"
    completed: datetime | None = None
    encrypted: bool = False
    key_arn: str | None = None
    deletion_requested: bool = False
    content: Content = field(default_factory=dict)
    boot_mode: str | None = None

    @property
    def data_bytes(self) -> int:
        """The size of its data: `data_bytes` of the content, or the whole of a volume that nothing says more of."""
        whole = self.size * 2**30
        return min(whole, int(self.content.get("data_bytes", whole)))


@dataclass(kw_only=True)
class Image(Resource):
    """An image; `state` is pending, available, failed, disabled or deregistered."""

    image_id: str
    owner_id: str
    owner_alias: str | None = None
    name: str
    description: str | None = None
    state: str = "pending"
    state_reason: tuple[str, str] | None = None
    architecture: str = "i386"
    virtualization_type: str = "paravirtual"
    root_device_name: str | None = None
    devices: list[BlockDevice] = field(default_factory=list)
    ena_support: bool = False
    sriov_net_support: str | None = None
    boot_mode: str | None = None
    tpm_support: str | None = None
    imds_support: str | None = None
    uefi_data: str | None = None
    source_instance_id: str | None = None
    source_image_id: str | None = None
    launch_permissions: list[dict[str, str]] = field(default_factory=list)
    deregistration_protection: str = "disabled"
    deprecation_time: datetime | None = None
    platform_details: str = "Linux/UNIX"
    usage_operation: str = "RunInstances"

    @property
    def public(self) -> bool:
        """Whether everybody may launch it."""
        return {"Group": "all"} in self.launch_permissions

    @property
    def root(self) -> BlockDevice | None:
        """The mapping of the root device."""
        return next((device for device in self.devices if device.device_name == self.root_device_name), None)

    @property
    def snapshot_ids(self) -> list[str]:
        """The snapshots behind its block devices."""
        return [device.snapshot_id for device in self.devices if device.snapshot_id]


@dataclass(kw_only=True)
class Instance(Resource):
    """An instance; `state` is EC2's name of it. `shown_state` overrides what describes show."""

    instance_id: str
    image: Image
    instance_type: str
    reservation_id: str
    subnet_id: str
    vpc_id: str
    zone: str
    private_ip: str
    interface_id: str
    security_groups: list[dict[str, str]]
    state: str = "pending"
    transition_reason: str = ""
    state_reason: tuple[str, str] | None = None
    volumes: dict[str, str] = field(default_factory=dict)
    profile: dict[str, str] | None = None
    metadata_options: dict[str, Any] = field(default_factory=dict)
    shutdown_behavior: str = "stop"
    termination_protected: bool = False
    user_data: str | None = None
    key_name: str | None = None
    client_token: str = ""
    ebs_optimized: bool = False
    monitoring: bool = False
    bootable: bool = True
    agent_online: bool = False
    agent_version: str = "3.3.2746.0"
    agent_since: datetime | None = None
    starts: int = 0


@dataclass(kw_only=True)
class TemplateVersion:
    """One version of a launch template."""

    number: int
    description: str | None
    data: dict[str, Any]
    created: datetime


@dataclass(kw_only=True)
class LaunchTemplate(Resource):
    """A launch template with its versions by number."""

    template_id: str
    name: str
    versions: dict[int, TemplateVersion]
    default_version: int = 1
    client_token: str | None = None
    last_number: int = 1

    @property
    def latest_version(self) -> int:
        """The highest version number."""
        return max(self.versions)


@dataclass(kw_only=True)
class Fleet(Resource):
    """An EC2 Fleet, a Spot Fleet request or a Spot Instance request: what it would launch, and its state."""

    fleet_id: str
    state: str
    config: dict[str, Any]
