"""Launches of one instance."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from ami_lifecycle.domain.model import Frozen, Instance, VolatileDevice


class LaunchRequest(Frozen):
    """One RunInstances call for one instance. Volume sizes in GiB, throughput in MiB/s.

    With `volume_key_arn` all its volumes are encrypted with that key, without it as the account's default says.
    With `has_tags_in_metadata` its tags are in the instance metadata.
    With `initialization_rate` they are read from their snapshots at that many MiB/s, with 0 as they are used.
    """

    client_token: str
    image_id: str
    instance_type: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    instance_profile_arn: str
    root_device_name: str
    root_volume_gib: int
    volume_type: str
    iops: int
    throughput: int
    volatile_devices: tuple[VolatileDevice, ...] = ()
    volume_key_arn: str = ""
    initialization_rate: int = 0
    metadata_hop_limit: int = 1
    has_tags_in_metadata: bool = False
    user_data: str
    tags: Mapping[str, str]


class LaunchRefusal(StrEnum):
    """Why EC2 launches no instance of a type in a subnet, by what may help.

    `CAPACITY`: time, another subnet or another type. `UNSUPPORTED`: another subnet or type.
    `INELIGIBLE`: another type only. `QUOTA_IN_USE`: time or a type of another quota. `QUOTA_TOO_SMALL`:
    a type of another quota; until somebody raises this one, it has no room for a single instance.
    `INITIALIZATION_IN_USE`: time; too many volumes of the Region are being initialized at a rate.
    """

    CAPACITY = "capacity"
    UNSUPPORTED = "unsupported"
    INELIGIBLE = "ineligible"
    QUOTA_IN_USE = "quota in use"
    QUOTA_TOO_SMALL = "quota too small"
    INITIALIZATION_IN_USE = "quota of volume initialization in use"

    @property
    def concerns_every_subnet(self) -> bool:
        """Whether the type is refused alike in all subnets."""
        return self not in {LaunchRefusal.CAPACITY, LaunchRefusal.UNSUPPORTED}

    @property
    def concerns_every_type(self) -> bool:
        """Whether all types are refused alike."""
        return self is LaunchRefusal.INITIALIZATION_IN_USE

    @property
    def passes(self) -> bool:
        """Whether waiting can help."""
        return self in {
            LaunchRefusal.CAPACITY,
            LaunchRefusal.QUOTA_IN_USE,
            LaunchRefusal.INITIALIZATION_IN_USE,
        }


class LaunchResult(NamedTuple):
    """An instance, or the refusal and EC2's words for it."""

    instance: Instance | None
    refusal: LaunchRefusal | None = None
    message: str = ""
