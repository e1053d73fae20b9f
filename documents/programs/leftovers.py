"""Print what the builder left on this instance, one finding in a line."""

import hashlib
import json
import os
import pathlib
import sys

root, instance_id = pathlib.Path(sys.argv[1] or "/"), sys.argv[2]
findings = []


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes().strip()).hexdigest()


def holds(path: pathlib.Path, needle: bytes) -> bool:
    """Whether a file contains the bytes; read in pieces, because logs may be long."""
    tail = b""
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                if needle in tail + block:
                    return True
                tail = block[-len(needle) :]
    except OSError:
        return False
    return False


def injected_keys() -> "set[str]":
    """The SSH keys that cloud-init put on this very instance."""
    try:
        data = json.loads((root / "run/cloud-init/instance-data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {" ".join(key.split()[:2]) for key in data.get("v1", {}).get("public_ssh_keys") or []}


SECRET_FILES = (
    ".docker/config.json",
    ".docker/.token_seed",
    ".ecr/cache.json",
    ".aws/credentials",
    ".netrc",
    ".git-credentials",
)
allowed = injected_keys()
for home in [root / "root", *sorted(root.glob("home/*"))]:
    findings += [f"{home / name} is there" for name in SECRET_FILES if (home / name).exists()]
    findings += [f"{path} is there" for path in home.glob(".*_history") if path.stat().st_size]
    findings += [f"{path} is there" for path in home.glob(".ssh/id_*")]
    keys = home / ".ssh/authorized_keys"
    if keys.exists():
        for line in keys.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip() and not line.startswith("#") and not any(key in line for key in allowed):
                findings.append(f"{keys} has a key that this launch did not inject")
                break

try:
    record = json.loads((root / "etc/ami-lifecycle/build.json").read_text(encoding="utf-8"))
except (OSError, ValueError):
    record = {}
    findings.append(f"{root / 'etc/ami-lifecycle/build.json'} is missing or not JSON")
if record and record.get("image_digest") != os.environ["image_digest"]:
    findings.append(f"build.json names the digest {record.get('image_digest')}")
for name, wanted in (("application", "application"), ("environment", "built_for")):
    if record and record.get(name) != os.environ[wanted]:
        findings.append(f"build.json names the {name} {record.get(name)}")

machine_id = root / "etc/machine-id"
own_machine_id = machine_id.read_text(encoding="utf-8").strip() if machine_id.exists() else ""
if len(own_machine_id) != 32:
    findings.append("the machine id was not set at boot")
elif digest(machine_id) == record.get("machine_id_sha256"):
    findings.append("the machine id is the builder's")
for key in root.glob("etc/ssh/ssh_host_*_key.pub"):
    if digest(key) in (record.get("ssh_host_keys_sha256") or []):
        findings.append(f"{key} is the builder's")
journals = root / "var/log/journal"
if journals.is_dir():
    findings += [
        f"{path} is another machine's journal"
        for path in journals.iterdir()
        if path.name.split(".")[0] != own_machine_id
    ]

builder = record.get("builder_instance_id") or ""
if builder and builder != instance_id:
    findings += [f"{path} is the builder's" for path in root.glob(f"var/lib/amazon/ssm/{builder}")]
    for tree in ("var/log", "var/lib/cloud"):
        for path in sorted((root / tree).rglob("*")):
            if path.is_file() and not path.is_symlink() and holds(path, builder.encode()):
                findings.append(f"{path} names the builder")
print("\n".join(findings[:20]))
