"""Print what a document reports, as one line of JSON."""

import json
import os
import platform
import re
import sys

kind, image_path, release_path, docker_version, free, own, *durations = sys.argv[1:]
with open(image_path, encoding="utf-8") as stream:
    image = json.load(stream)[0]
release = {}
if os.path.exists(release_path):
    with open(release_path, encoding="utf-8") as stream:
        for line in stream:
            name, _, value = line.strip().partition("=")
            release[name] = value.strip('"')
version = re.search(r"\d+(\.\d+)+", docker_version)
print(
    json.dumps(
        {
            "schema": 1,
            "kind": kind,
            "image_digest": os.environ["image_digest"],
            "image_size_bytes": image.get("Size"),
            "os": {"name": release.get("NAME"), "version": release.get("VERSION_ID")},
            "kernel": platform.release(),
            "docker_version": version.group() if version else None,
            "image_store": os.environ["image_store"],
            "free_bytes": int(free),
            **json.loads(own),
            "duration_seconds": {name: int(value) for name, value in (item.split("=") for item in durations)},
        },
        separators=(",", ":"),
    )
)
