"""Read a sample of the image's files, and print bytes and seconds."""

import glob
import json
import os
import sys
import time
from typing import Iterator

LIMIT_BYTES, LIMIT_SECONDS, BLOCK = 256 * 1024**2, 60.0, 1024**2
with open(sys.argv[1], encoding="utf-8") as stream:
    data = (json.load(stream)[0].get("GraphDriver") or {}).get("Data") or {}
store = os.path.realpath(sys.argv[2])
layers = [path for name in ("UpperDir", "LowerDir") for path in (data.get(name) or "").split(":") if path]
if not layers:
    # containerd's snapshots: Docker does not say which belong to the image, and this instance has no other image.
    found = glob.glob(store + "/io.containerd.snapshotter.v1.*/snapshots/*/fs")
    layers = sorted(found, key=lambda path: int(os.path.basename(os.path.dirname(path))), reverse=True)
start, total = time.monotonic(), 0


def files() -> "Iterator[str]":
    for layer in layers:
        for directory, _, names in os.walk(layer):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path


for path in files():
    try:
        with open(path, "rb", buffering=0) as sample:
            while total < LIMIT_BYTES and time.monotonic() - start < LIMIT_SECONDS:
                block = sample.read(min(BLOCK, LIMIT_BYTES - total))
                if not block:
                    break
                total += len(block)
    except OSError:
        continue
    if total >= LIMIT_BYTES or time.monotonic() - start >= LIMIT_SECONDS:
        break
# Nothing found is nothing measured, and not a time of 0.
print(*(total, round(time.monotonic() - start, 1)) if total else ("null", "null"))
