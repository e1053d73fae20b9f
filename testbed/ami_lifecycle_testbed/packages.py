"""What emulated canaries tell of what is in their image."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

# Of Ubuntu 22.04. Some versions go by the Docker image, so that two builds differ as they would.
_PACKAGES: Final = {
    "bash": "5.1-6ubuntu1.1",
    "containerd.io": "1.7.27-1",
    "coreutils": "8.32-4.1ubuntu1.2",
    "curl": "7.81.0-1ubuntu1.{}",
    "docker-ce": "5:27.5.1-1~ubuntu.22.04~jammy",
    "libssl3": "3.0.2-0ubuntu1.{}",
    "systemd": "249.11-0ubuntu3.15",
}
_UPDATES: Final = 20


def told_packages(digest: str, system: Mapping[str, str], components: Mapping[str, str]) -> str:
    """The line that says it, for an image of this Docker image."""
    number = int(hashlib.sha256(digest.encode()).hexdigest()[:8], 16) % _UPDATES + 1
    content: dict[str, Any] = {
        "components": {"system": f"{system['name']} {system['version']}", **components},
        "packages": {
            "deb": "\n".join(
                f"{name}\t{version.format(number)}\tamd64" for name, version in _PACKAGES.items()
            ),
            "snap": "amazon-ssm-agent\t3.3.2299.0-11797\tx86_64",
        },
        "layers": [f"sha256:{hashlib.sha256(each.encode()).hexdigest()}" for each in ("base", digest)],
    }
    return base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)).decode()
