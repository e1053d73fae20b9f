"""Say why the image that Docker has is not the one asked for; nothing when it is."""

import json
import sys

path, reference, machine = sys.argv[1:]
with open(path, encoding="utf-8") as stream:
    image = json.load(stream)[0]
wanted = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
if reference not in (image.get("RepoDigests") or []):
    print(f"the image that Docker has is not {reference}")
# With containerd's store Docker also pulls what it cannot run: images of Windows, and charts, which have no system.
elif not image.get("Os", "linux"):
    print(f"{reference} is no image that Docker can run, but another artifact")
elif image.get("Os", "linux") != "linux":
    print(f"the image is for {image['Os']}, this instance needs linux")
elif image.get("Architecture", wanted) != wanted:
    print(f"the image is for {image['Architecture']}, this instance needs {wanted}")
