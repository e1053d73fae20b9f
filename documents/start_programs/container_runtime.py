"""Docker's runtime for the container: runc, with the values of this start in the variables of the container's process.

What `docker run` is given is in `docker inspect`, and in files of Docker on the disk. The bundle that a runtime gets is
in memory (OCI runtime specification, "Filesystem Bundle"; containerd and Docker keep it below /run).
"""

import json
import os
import pathlib
import sys

# Set in tests alone.
run = pathlib.Path(os.environ.get("AMI_LIFECYCLE_ROOT") or "/") / "run/ami-lifecycle"
arguments = sys.argv[1:]
# An option of runc has its value behind it or in it (runc(8)).
given = [word for argument in arguments for word in argument.split("=", 1)]
if "create" in given and "--bundle" in given:
    bundle = pathlib.Path(given[given.index("--bundle") + 1])
    try:
        values = json.loads((run / "container-values.json").read_text(encoding="utf-8"))
    except OSError:
        sys.exit("the values of the container are not there; start it with systemctl, which fetches them")
    specification = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    kept = [line for line in specification["process"].get("env", []) if line.partition("=")[0] not in values]
    specification["process"]["env"] = kept + [f"{name}={value}" for name, value in values.items()]
    new = bundle / "config.json.new"
    new.touch(mode=0o600)
    new.write_text(json.dumps(specification), encoding="utf-8")
    new.replace(bundle / "config.json")
os.execvp("runc", ["runc", *arguments])  # noqa: S606, S607 - containerd's PATH says which
