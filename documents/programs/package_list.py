"""Print the member of the facts that says what is in the image, or why that is not said."""

import base64
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import zlib

image_path, root, docker_version = sys.argv[1], pathlib.Path(sys.argv[2] or "/"), sys.argv[3]
# Systems Manager keeps 24,000 characters of standard output, and the facts come last. Each hook may take 2,100.
CHARACTERS, OF_A_HOOK = 21500, 2100


def said(*command: str) -> str:
    """What a command prints; nothing where there is none, or it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - the system's own commands
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace") if done.returncode == 0 else ""


def number(text: str) -> str:
    """The first version number in a text."""
    found = re.search(r"\d+(\.\d+)+[^\s,]*", text)
    return found.group() if found else ""


def debian() -> "list[str]":
    """Installed packages; dpkg also knows those that were removed and left their settings."""
    form = r"${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"
    rows = (line.split("\t", 1) for line in said("dpkg-query", "--show", "--showformat", form).splitlines())
    return [row[1] for row in rows if row[0] == "installed"]


def rpm() -> "list[str]":
    """Installed packages. The keys of publishers are listed as packages, and are none."""
    form = r"%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n"
    rows = said("rpm", "--query", "--all", "--queryformat", form).splitlines()
    return [row.replace("\t0:", "\t", 1) for row in rows if not row.startswith("gpg-pubkey\t")]


def snaps() -> "list[str]":
    """Snaps, each with its revision: the SSM Agent is one on Ubuntu."""
    rows = (line.split() for line in said("snap", "list").splitlines()[1:])
    return [f"{row[0]}\t{row[1]}-{row[2]}\t{platform.machine()}" for row in rows if len(row) > 2]


with open(image_path, encoding="utf-8") as stream:
    image = json.load(stream)[0]
release = {}
if (root / "etc/os-release").exists():
    for line in (root / "etc/os-release").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        release[name] = value.strip('"')
packages = {"deb": debian(), "rpm": rpm(), "snap": snaps()}
agents = [
    row.split("\t")[1] for rows in packages.values() for row in rows if row.startswith("amazon-ssm-agent\t")
]
driver = root / "proc/driver/nvidia/version"
components = {
    "system": f"{release.get('NAME', '')} {release.get('VERSION_ID', '')}".strip(),
    "kernel": platform.release(),
    "docker": number(docker_version),
    "containerd": number(said("containerd", "--version")),
    "amazon-ssm-agent": ", ".join(agents),
    "nvidia-driver": number(
        driver.read_text(encoding="utf-8")
        if driver.exists()
        else said("modinfo", "--field", "version", "nvidia")
    ),
    "nvidia-container-toolkit": number(said("nvidia-ctk", "--version")),
}
content = {
    "components": {name: version[:200] for name, version in components.items() if version},
    "packages": {kind: "\n".join(sorted(rows)) for kind, rows in packages.items() if rows},
    "layers": (image.get("RootFS") or {}).get("Layers") or [],
}
encoded = base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)).decode()
room = CHARACTERS
if os.environ["hooks"] != "-":
    hooks = json.loads(zlib.decompress(base64.b64decode(os.environ["hooks"])))
    room -= OF_A_HOOK * len(hooks.get("verify", []))
if not packages["deb"] and not packages["rpm"]:
    problem = "neither dpkg-query nor rpm names a package on the canary"
elif len(encoded) > room:
    count = sum(map(len, packages.values()))
    problem = f"the list of {count} packages takes {len(encoded)} characters of the command's output, {room} are left"
else:
    problem = ""
print(f',"packages_problem":{json.dumps(problem)}' if problem else f',"packages":"{encoded}"')
