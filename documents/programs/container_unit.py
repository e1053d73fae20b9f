"""Check the settings of the container; write its systemd unit and its file of variables."""

import json
import os
import pathlib
import posixpath
import re
import sys
from typing import Any

root, reference, action = pathlib.Path(sys.argv[1] or "/"), *sys.argv[2:]
setting = os.environ.__getitem__
application = setting("application")


def replace(path: pathlib.Path, text: str, permissions: int) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(permissions)
    new.replace(path)


def listed(name: str) -> "list[str]":
    return [] if setting(name) == "-" else setting(name).split(",")


def parsed(name: str, empty: Any) -> Any:
    value = json.loads(setting(name)) if setting(name) else empty
    texts = list(value) if isinstance(value, list) else [*value, *value.values()]
    if type(value) is not type(empty) or not all(isinstance(text, str) for text in texts):
        sys.exit(f"{name} must be a JSON {'array' if empty == [] else 'object'} of strings")
    if any(
        re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]", text)
        or any(ord(c) & 0xFFFE == 0xFFFE for c in text)
        for text in texts
    ):
        sys.exit(
            f"{name} must not hold control characters: neither systemd nor Docker's env file can carry them"
        )
    return value


def quoted(word: str) -> str:
    # systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers".
    if re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word):
        return word
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(old, new)
    return f'"{word}"'


# Without --rm its log outlives it; --attach leaves standard error to Docker's own words. See the unit below.
run = ["/usr/bin/docker", "run", "--attach", "stdout", "--pull=never", "--name", application]
# Values that instances fetch go past `docker inspect` and Docker's own files: start_programs/container_runtime.py.
before, after = "", ""
if setting("container_values"):
    run += ["--runtime", "ami-lifecycle"]
    fetch = "/usr/local/lib/ami-lifecycle/container-values"
    before = f"ExecCondition={fetch} condition\nExecStartPre={fetch}\n"
    after = "ExecStopPost=-/bin/rm -f /run/ami-lifecycle/container-values.json\n"
if setting("gpu_enabled") == "true":
    run += ["--gpus", "all"]
if int(setting("container_shm_mib")) > 0:
    run += ["--shm-size", str(int(setting("container_shm_mib"))) + "m"]
for option in ("ipc", "network"):
    if setting(f"container_{option}") != "-":
        run += [f"--{option}", setting(f"container_{option}")]
for limit in listed("container_ulimits"):
    run += ["--ulimit", limit]
for device in listed("container_devices"):
    run += ["--device", device]
# systemd starts the container again, and not Docker: both would do so. What somebody stops stays stopped with systemd,
# so unless-stopped is always.
restart = "always" if setting("container_restart") == "unless-stopped" else setting("container_restart")
taken = set()
for port in listed("container_ports"):
    if not all(0 < int(number) < 65536 for number in port.split(":")):
        sys.exit(f"container_ports has a number that is no port: {port}")
    host = int(port.split(":")[0])
    if host in taken:
        sys.exit(f"container_ports names the port {host} of the instance twice")
    taken.add(host)
    run += ["--publish", port if ":" in port else f"{port}:{port}"]
mounted = set()
for volume in listed("container_volumes"):
    target = posixpath.normpath(volume.split(":")[1])
    if target in ("/", "//"):
        sys.exit(f"container_volumes would hide the whole image: {volume}")
    if target in mounted:
        sys.exit(f"container_volumes mounts {target} twice")
    mounted.add(target)
    run += ["--volume", volume]

variables = parsed("container_environment", {})
bad = [name for name in variables if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
if bad:
    sys.exit(f"container_environment has a name that no shell accepts: {bad[0]!r}")
lines = [f"{name}={value}\n" for name, value in sorted(variables.items())]
# docker/cli, opts/file.go: it is read by Go's bufio.Scanner, which takes lines up to 64 KiB.
long = [line.split("=")[0] for line in lines if len(line.encode()) >= 64 * 1024]
if long:
    sys.exit(
        f"container_environment has a value that Docker's env file cannot carry, of 64 KiB or more: {long[0]}"
    )
run += ["--env-file", f"/etc/ami-lifecycle/{application}.env", reference, *parsed("container_command", [])]
sources = json.loads(setting("container_values") or "{}")
if not all(isinstance(each, dict) for each in [sources, *sources.values()]):
    sys.exit("container_values must be a JSON object of objects")
if action == "check":
    sys.exit()

replace(root / f"etc/ami-lifecycle/{application}.env", "".join(lines), 0o600)
values = root / "etc/ami-lifecycle/container-values.json"
if sources:
    replace(values, json.dumps(sources, indent=2) + "\n", 0o600)
elif values.exists():
    values.unlink()
# What the container says is in Docker's log, which Docker rotates. Its last lines also go to the journal whenever it
# ends, and so does what Docker says when it cannot start it: `journalctl --unit` tells why.
replace(
    root / f"etc/systemd/system/{application}.service",
    f"""\
[Unit]
Description={application}, pinned by ami-lifecycle
Requires=docker.service
Wants=network-online.target
After=docker.service network-online.target

[Service]
{before}ExecStartPre=-/usr/bin/docker rm --force --volumes {application}
ExecStart={" ".join(map(quoted, run))}
ExecStop=-/usr/bin/docker stop -t 30 {application}
ExecStopPost=-/bin/sh -c "timeout 10 docker logs --tail 20 {application} 2>&1 | systemd-cat --identifier={application}"
{after}Restart={restart}
RestartSec=5
TimeoutStartSec=infinity
TimeoutStopSec=45
StandardOutput=null
StandardError=journal

[Install]
WantedBy=multi-user.target
""",
    0o644,
)
