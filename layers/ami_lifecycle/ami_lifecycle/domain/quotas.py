"""The quotas of running On-Demand instances: one for each group of families, in vCPUs.

Source: EC2 user guide, On-Demand Instance quotas; the codes are Service Quotas' own (ListServiceQuotas, ec2).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_FAMILY: Final = re.compile(r"([a-z]+)")


class VcpuQuota(NamedTuple):
    """A quota of vCPUs as Service Quotas knows it, and what a new account has of it."""

    code: str
    name: str
    default: int

    @property
    def request(self) -> str:
        """How to ask for more."""
        return (
            f"ask for more of {self.code} (Running On-Demand {self.name} instances): aws service-quotas "
            f"request-service-quota-increase --service-code ec2 --quota-code {self.code} --desired-value N"
        )


STANDARD: Final = VcpuQuota("L-1216C47A", "Standard (A, C, D, H, I, M, R, T, Z)", 5)
_G: Final = VcpuQuota("L-DB2E81BA", "G and VT", 0)
_HIGH_MEMORY: Final = VcpuQuota("L-43DA4232", "High Memory", 0)
# By the letters that a type begins with; all others are Standard. `gr6` counts with G, `u7i-12tb` as High Memory.
_BY_FAMILY: Final = {
    "dl": VcpuQuota("L-6E869C2A", "DL", 0),
    "f": VcpuQuota("L-74FC7D96", "F", 0),
    "g": _G,
    "gr": _G,
    "hpc": VcpuQuota("L-F7808C92", "HPC", 0),
    "inf": VcpuQuota("L-1945791B", "Inf", 0),
    "p": VcpuQuota("L-417A185B", "P", 0),
    "trn": VcpuQuota("L-2C3B7624", "Trn", 0),
    "u": _HIGH_MEMORY,
    "vt": _G,
    "x": VcpuQuota("L-7295265B", "X", 0),
}


def quota_of(instance_type: str) -> VcpuQuota:
    """The quota that instances of a type count against."""
    letters = _FAMILY.match(instance_type)
    return _BY_FAMILY.get(letters[1] if letters else "", STANDARD)
