"""Say in which of its stores Docker keeps images, and below which directory."""

import json
import os
import re
import sys
from typing import Any

root, told, configuration = sys.argv[1:]


def parsed(text: str) -> "dict[str, Any]":
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        return {}


info, settings = parsed(told), {}
if os.path.exists(root + "/etc/docker/daemon.json"):
    with open(root + "/etc/docker/daemon.json", encoding="utf-8") as stream:
        settings = parsed(stream.read())
directory = info.get("DockerRootDir") or settings.get("data-root") or "/var/lib/docker"
store = "graph-driver"
if ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or []):
    store = "containerd"
    # A containerd that Docker starts itself keeps its files below Docker's data-root.
    own = directory + "/containerd/daemon"
    address = (info.get("Containerd") or {}).get("Address")
    if address != "/run/containerd/containerd.sock" and os.path.isdir(root + own):
        directory = own
    else:
        setting = re.search(r"""(?m)^root *= *["'](.+?)["']""", configuration.split("\n[")[0])
        directory = setting[1] if setting else "/var/lib/containerd"
print(store)
print(directory)
