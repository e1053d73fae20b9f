"""Print who this builder is, for the canary to compare with."""

import hashlib
import json
import pathlib
import sys
import time

root, instance_id = pathlib.Path(sys.argv[1] or "/"), sys.argv[2]


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes().strip()).hexdigest()


machine_id = root / "etc/machine-id"
print(
    json.dumps(
        {
            "builder_instance_id": instance_id,
            "machine_id_sha256": digest(machine_id) if machine_id.exists() else None,
            "ssh_host_keys_sha256": sorted(digest(path) for path in root.glob("etc/ssh/ssh_host_*_key.pub")),
            "provisioned_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    )
)
