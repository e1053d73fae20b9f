"""Uses of images, behind the port `ImageUsage`: a failed look-up counts as a use.

One module for each source: references to an image (`references`), instances (`instances`), launchers (`groups`,
`fleets`), versions of launch templates (`templates`), parameters (`parameters`). `domain.launchers` decides which
images they use.
"""

from __future__ import annotations

from ami_lifecycle.adapters.usage.account import AwsImageUsage, usage_in_account

__all__ = ["AwsImageUsage", "usage_in_account"]
