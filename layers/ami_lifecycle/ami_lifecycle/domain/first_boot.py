"""What the first boot of an image costs and allows where volumes are initialized at a rate.

A volume made from a snapshot holds nothing at first: each block comes when it is first read, or at a rate that
the launch asks for (EBS user guide, Initialize Amazon EBS volumes). No image carries the rate, so every consumer's
launch names it; the canary's does too, so that what it measures is what they get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from ami_lifecycle.domain.settings import LaunchSettings

FACT: Final = "first_boot"
# EBS pricing, Provisioned Rate for Volume Initialization, example 12, us-east-1: $0.0036 a GiB at 300 MiB/s.
USD_PER_GIB_AND_MIB_A_SECOND: Final = 0.000_012
# EBS user guide, Quotas: of all volumes of the Region that are being initialized at a rate, in MiB/s.
QUOTA_CODE: Final = "L-A37D9CF3"
_MIB: Final = 1024**2
_GIB: Final = 1024**3


class FirstBoot(BaseModel):
    """Time, cost and concurrency of an image's first boots, as stored in the facts of its metadata.

    Attributes:
        initialization_rate: MiB/s of each volume, as the canary was launched with.
        data_bytes: of all its snapshots; the price goes by this and not by the size of the volumes.
        initialization_seconds: until the last of its volumes is whole.
        cents_per_launch: of a US dollar, for the initialization alone.
        launches_at_once: how many the quota of the Region allows while nothing else uses it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    initialization_rate: int
    data_bytes: int
    initialization_seconds: int
    cents_per_launch: float
    launches_at_once: int


def first_boot_of(settings: LaunchSettings, sizes: Sequence[int | None]) -> FirstBoot | None:
    """The first boot of an image with snapshots of these sizes; None without a rate, or where a size is unknown."""
    rate = settings.initialization_rate
    known = [size for size in sizes if size]
    if not rate or not known or len(known) != len(sizes):
        return None
    price = settings.initialization_usd_per_gib
    if price is None:
        price = USD_PER_GIB_AND_MIB_A_SECOND * rate
    return FirstBoot(
        initialization_rate=rate,
        data_bytes=sum(known),
        initialization_seconds=-(-max(known) // (rate * _MIB)),
        cents_per_launch=round(sum(known) / _GIB * price * 100, 2),
        launches_at_once=settings.initialization_quota // (rate * len(known)),
    )


def recorded_first_boot(facts: Mapping[str, Any]) -> FirstBoot | None:
    """The first boot recorded in a record's facts; None where it is missing or unreadable."""
    try:
        return FirstBoot.model_validate(facts[FACT]) if FACT in facts else None
    except ValidationError:
        return None
