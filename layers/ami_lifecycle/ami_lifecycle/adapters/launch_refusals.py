"""Errors of RunInstances: one table of codes, and the two cases that only EC2's message distinguishes.

Sources: EC2 API reference, Error codes; EC2 user guide, Troubleshoot instance launch issues. Codes that say
nothing about type or subnet (permissions, throttling, the account, an image that is gone) are in `translation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from botocore.exceptions import ClientError

from ami_lifecycle.adapters.translation import code_of, message_of
from ami_lifecycle.domain.launch import LaunchRefusal

REFUSALS: Final[Mapping[str, LaunchRefusal]] = {
    # No capacity at the moment: of the type, of addresses in the subnet, of volumes in the zone.
    "InsufficientAddressCapacity": LaunchRefusal.CAPACITY,
    "InsufficientCapacity": LaunchRefusal.CAPACITY,
    "InsufficientCapacityOnHost": LaunchRefusal.CAPACITY,
    "InsufficientFreeAddressesInSubnet": LaunchRefusal.CAPACITY,
    "InsufficientHostCapacity": LaunchRefusal.CAPACITY,
    "InsufficientInstanceCapacity": LaunchRefusal.CAPACITY,
    "InsufficientReservedInstanceCapacity": LaunchRefusal.CAPACITY,
    "InsufficientReservedInstancesCapacity": LaunchRefusal.CAPACITY,
    "InsufficientVolumeCapacity": LaunchRefusal.CAPACITY,
    # The Capacity Reservation that a subnet's or the account's settings target is full; another type needs none.
    "ReservationCapacityExceeded": LaunchRefusal.CAPACITY,
    "UnfulfillableCapacity": LaunchRefusal.CAPACITY,
    # The zone does not offer the type.
    "Unsupported": LaunchRefusal.UNSUPPORTED,
    "VolumeTypeNotAvailableInZone": LaunchRefusal.UNSUPPORTED,
    # The Region does not know the type.
    "InvalidInstanceType": LaunchRefusal.INELIGIBLE,
    # The type takes fewer addresses, interfaces or volumes, or no encrypted ones; another one may.
    "AttachmentLimitExceeded": LaunchRefusal.INELIGIBLE,
    "EncryptedVolumesNotSupported": LaunchRefusal.INELIGIBLE,
    "InvalidInterface.IpAddressLimitExceeded": LaunchRefusal.INELIGIBLE,
    "PrivateIpAddressLimitExceeded": LaunchRefusal.INELIGIBLE,
    # The account's limit for the family; `refusal_of` examines the first.
    "VcpuLimitExceeded": LaunchRefusal.QUOTA_IN_USE,
    "InstanceLimitExceeded": LaunchRefusal.QUOTA_IN_USE,
    "MaxSpotInstanceCountExceeded": LaunchRefusal.QUOTA_IN_USE,
}
# One code for whatever is wrong with parameters, among them that the type cannot run the image (architecture,
# virtualization, ENA, boot mode, TPM), is unknown in the Region, or is not in an account's free plan. The latter
# messages name the instance type. A wrong guess costs one more call for each type, and the final error has EC2's
# message.
PARAMETERS: Final = frozenset({"InvalidParameterCombination", "InvalidParameterValue"})
_ABOUT_THE_TYPE: Final = re.compile(r"\binstance\s?types?\b", re.IGNORECASE)
# "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that the
# specified instance type belongs to."
_LIMIT: Final = re.compile(r"\bcurrent vCPU limit of (\d{1,9})\b")
# EBS user guide, Initialize Amazon EBS volumes: above the quota "the request fails", with a code that is not said. So
# this is any limit whose code or message names it, and EC2's generic code for limits.
_LIMIT_OF_EC2: Final = "ResourceLimitExceeded"
_ABOUT_INITIALIZATION: Final = re.compile(r"initialization\s?rate|volume\s?initialization", re.IGNORECASE)
# Errors that last until a setting is corrected.
WRONG_PARAMETERS: Final = PARAMETERS | {
    "BootForVolumeTypeUnsupported",
    "InvalidBlockDeviceMapping",
    "InvalidParameter",
    "InvalidParameterDependency",
    "MissingInput",
    "MissingParameter",
    "UnknownVolumeType",
    "UnsupportedOperation",
    "VolumeIOPSLimit",
}


def refusal_of(error: ClientError, *, asks_for_rate: bool = False) -> LaunchRefusal | None:
    """What an error of RunInstances says about this type in this subnet; None if it concerns neither.

    Args:
        asks_for_rate: whether the launch names a rate of volume initialization.
    """
    code = code_of(error)
    if asks_for_rate and (
        code == _LIMIT_OF_EC2
        or (code.endswith("Exceeded") and _ABOUT_INITIALIZATION.search(f"{code} {message_of(error)}"))
    ):
        return LaunchRefusal.INITIALIZATION_IN_USE
    if code in PARAMETERS:
        return LaunchRefusal.INELIGIBLE if _ABOUT_THE_TYPE.search(message_of(error)) else None
    return REFUSALS.get(code)


def vcpu_limit_of(error: ClientError) -> int | None:
    """The account's limit of vCPUs, parsed from the error message."""
    found = _LIMIT.search(message_of(error)) if code_of(error) == "VcpuLimitExceeded" else None
    return int(found[1]) if found else None
