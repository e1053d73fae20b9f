"""Merge our settings into those of the Docker daemon."""

import json
import os
import sys

path = sys.argv[1]
settings = {}
if os.path.exists(path):
    with open(path, encoding="utf-8") as stream:
        settings = json.load(stream)
settings.update(
    {
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "5"},
        "max-concurrent-downloads": 10,
        "max-download-attempts": 10,
    }
)
# Docker calls it in the place of runc for containers that ask for it by this name.
runtimes = {name: each for name, each in settings.pop("runtimes", {}).items() if name != "ami-lifecycle"}
if os.environ.get("container_values"):
    runtimes["ami-lifecycle"] = {"path": "/usr/local/lib/ami-lifecycle/container-runtime"}
if runtimes:
    settings["runtimes"] = runtimes
with open(path + ".new", "w", encoding="utf-8") as stream:
    json.dump(settings, stream, indent=2, sort_keys=True)
    stream.write("\n")
os.chmod(path + ".new", 0o644)
os.replace(path + ".new", path)
