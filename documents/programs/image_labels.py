"""Print the facts that the provisioning alone has: the image's labels."""

import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    found = (json.load(stream)[0].get("Config") or {}).get("Labels") or {}

# The labels of our own say what is built; those of OCI may be the base image's.
OURS = ["ami-lifecycle.commit", "ami-lifecycle.branch"]
PREFIX = "org.opencontainers.image."
FIRST = OURS + [PREFIX + name for name in ("revision", "ref.name", "version", "source", "created")]
names = [name for name in FIRST if name in found] + sorted(
    n for n in found if n.startswith(PREFIX) and n not in FIRST
)
labels, room = {}, 1200
for name in names:
    value = str(found[name])[:200]
    size = len(json.dumps({name: value}))
    # A value outside ASCII takes six bytes for each character.
    while value and size > 260:
        value = value[:-10]
        size = len(json.dumps({name: value}))
    if size <= room:
        labels[name] = value
        room -= size
print(json.dumps({"image_labels": labels, "mode": os.environ["mode"]}))
