"""Who uses images, behind the port `ImageUsage`: what cannot be read counts as a use.

One module for each source: what refers to an image (`references`), instances (`instances`), what launches
(`groups`, `fleets`) and the versions of launch templates that it launches (`templates`), parameters
(`parameters`). What follows from them is decided in `domain.launchers`.
"""

from __future__ import annotations

from ami_lifecycle.adapters.usage.account import AwsImageUsage, usage_in_account

__all__ = ["AwsImageUsage", "usage_in_account"]
