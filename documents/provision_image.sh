#!/usr/bin/env bash
# Make this instance the content of an image: one Docker image, pinned by digest, started by systemd at boot.
# Parameters, facts, exit codes: documents/README.md. Safe to run again, also after it was killed, also twice at once.
set -euo pipefail
kind=provision
# shellcheck source=documents/prelude.sh
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
# shellcheck source=documents/docker_host.sh
source "$(dirname "${BASH_SOURCE[0]}")/docker_host.sh"
# shellcheck source=documents/docker_image.sh
source "$(dirname "${BASH_SOURCE[0]}")/docker_image.sh"
# shellcheck source=documents/builder_identity.sh
source "$(dirname "${BASH_SOURCE[0]}")/builder_identity.sh"

readonly SETTINGS=$ROOT/etc/ami-lifecycle

# Exported, because the Python parts below read them too.
export image_uri='' image_digest='' image_tag='' image_size_bytes='' mode='' region='' application='' environment='' run_id=''
export container_ports='' container_environment='' container_command='' container_volumes='' container_shm_mib=''
export gpu_enabled='' nvidia_toolkit='' nvidia_driver='' minimum_free_gib=''
read_parameters() {
  parameter image_uri ImageUri '^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$'
  parameter image_digest ImageDigest '^sha256:[0-9a-f]{64}$'
  parameter image_tag ImageTag '^(-|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})$' -
  parameter image_size_bytes ImageSizeBytes '^[0-9]{1,15}$' 0
  parameter mode Mode '^(fresh|update)$'
  parameter region Region '^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$'
  parameter application Application '^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$'
  parameter environment Environment '^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$'
  parameter run_id RunId '^[A-Za-z0-9._-]{1,128}$'
  parameter container_ports ContainerPorts '^(-|[0-9]{1,5}(:[0-9]{1,5})?(,[0-9]{1,5}(:[0-9]{1,5})?)*)$' -
  parameter container_environment ContainerEnvironment '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter container_command ContainerCommand '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter container_volumes ContainerVolumes \
    '^(-|/[A-Za-z0-9._/-]*:/[A-Za-z0-9._/-]*(:ro)?(,/[A-Za-z0-9._/-]*:/[A-Za-z0-9._/-]*(:ro)?)*)$' -
  parameter container_shm_mib ContainerShmMiB '^[0-9]{1,6}$' 0
  parameter gpu_enabled GpuEnabled '^(true|false)$' false
  parameter nvidia_toolkit NvidiaToolkit '^(true|false)$' false
  parameter nvidia_driver NvidiaDriver '^(none|[0-9]{3}(-server)?(-open)?)$' none
  parameter minimum_free_gib MinimumFreeGiB '^[0-9]{1,5}$' 10
  # A leading zero would make the shell read an octal number.
  minimum_free_gib=$((10#$minimum_free_gib))
  image_size_bytes=$((10#$image_size_bytes))
  decode container_environment ContainerEnvironment
  decode container_command ContainerCommand
  readonly reference=$image_uri@$image_digest
}
stop_application() {
  systemctl stop "$application.service" >>"$LOG" 2>&1 || true
}

# container_unit check|write: the systemd unit and the file of variables of the container. What they cannot say is found
# by `check`, before anything is installed or pulled.
container_unit() {
  python3 - "$ROOT" "$reference" "$1" >>"$LOG" 2>&1 <<'PYTHON' || fail 10 "the container settings cannot be used" "read the reason below and correct the build settings"
import json
import os
import pathlib
import posixpath
import re
import sys

root, reference, action = pathlib.Path(sys.argv[1] or "/"), *sys.argv[2:]
setting = os.environ.__getitem__
application = setting("application")


def replace(path, text, permissions):
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(permissions)
    new.replace(path)


def listed(name):
    return [] if setting(name) == "-" else setting(name).split(",")


def parsed(name, empty):
    value = json.loads(setting(name)) if setting(name) else empty
    texts = list(value) if isinstance(value, list) else [*value, *value.values()]
    if type(value) is not type(empty) or not all(isinstance(text, str) for text in texts):
        sys.exit(f"{name} must be a JSON {'array' if empty == [] else 'object'} of strings")
    if any(re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]", text) or any(ord(c) & 0xFFFE == 0xFFFE for c in text) for text in texts):
        sys.exit(f"{name} must not hold control characters: neither systemd nor Docker's env file can carry them")
    return value


def quoted(word):
    # systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers".
    if re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word):
        return word
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(old, new)
    return f'"{word}"'


# Without --rm its log outlives it; --attach leaves standard error to Docker's own words. See the unit below.
run = ["/usr/bin/docker", "run", "--attach", "stdout", "--pull=never", "--name", application]
if setting("gpu_enabled") == "true":
    run += ["--gpus", "all"]
if int(setting("container_shm_mib")) > 0:
    run += ["--shm-size", str(int(setting("container_shm_mib"))) + "m"]
taken = set()
for port in listed("container_ports"):
    if not all(0 < int(number) < 65536 for number in port.split(":")):
        sys.exit(f"container_ports has a number that is no port: {port}")
    host = int(port.split(":")[0])
    if host in taken:
        sys.exit(f"container_ports names the port {host} of the instance twice")
    taken.add(host)
    run += ["--publish", port if ":" in port else f"{port}:{port}"]
taken = set()
for volume in listed("container_volumes"):
    target = posixpath.normpath(volume.split(":")[1])
    if target in ("/", "//"):
        sys.exit(f"container_volumes would hide the whole image: {volume}")
    if target in taken:
        sys.exit(f"container_volumes mounts {target} twice")
    taken.add(target)
    run += ["--volume", volume]

variables = parsed("container_environment", {})
bad = [name for name in variables if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
if bad:
    sys.exit(f"container_environment has a name that no shell accepts: {bad[0]!r}")
lines = [f"{name}={value}\n" for name, value in sorted(variables.items())]
# docker/cli, opts/file.go: it is read by Go's bufio.Scanner, which takes lines up to 64 KiB.
long = [line.split("=")[0] for line in lines if len(line.encode()) >= 64 * 1024]
if long:
    sys.exit(f"container_environment has a value that Docker's env file cannot carry, of 64 KiB or more: {long[0]}")
run += ["--env-file", f"/etc/ami-lifecycle/{application}.env", reference, *parsed("container_command", [])]
if action == "check":
    sys.exit()

replace(root / f"etc/ami-lifecycle/{application}.env", "".join(lines), 0o600)
# What the container says is in Docker's log, which Docker rotates. Its last lines also go to the journal whenever it ends,
# and so does what Docker says when it cannot start it: `journalctl --unit` tells why.
replace(root / f"etc/systemd/system/{application}.service", f"""\
[Unit]
Description={application}, pinned by ami-lifecycle
Requires=docker.service
Wants=network-online.target
After=docker.service network-online.target

[Service]
ExecStartPre=-/usr/bin/docker rm --force --volumes {application}
ExecStart={" ".join(map(quoted, run))}
ExecStop=-/usr/bin/docker stop -t 30 {application}
ExecStopPost=-/bin/sh -c "timeout 10 docker logs --tail 20 {application} 2>&1 | systemd-cat --identifier={application}"
Restart=always
RestartSec=5
TimeoutStartSec=infinity
TimeoutStopSec=45
StandardOutput=null
StandardError=journal

[Install]
WantedBy=multi-user.target
""", 0o644)
PYTHON
}

write_unit() {
  mkdir -p "$SETTINGS" "$ROOT/etc/systemd/system"
  chmod 0755 "$SETTINGS"
  container_unit write
  systemctl daemon-reload >>"$LOG" 2>&1 || fail 19 "systemd refused to reload its units" "read the log lines below"
  systemctl enable "$application.service" >>"$LOG" 2>&1 ||
    fail 19 "the unit $application.service cannot be enabled" "read the log lines below"
}

write_record() {
  python3 - "$RUN/identity.json" >"$SETTINGS/build.json.new" <<'PYTHON'
import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    identity = json.load(stream)
fields = ("application", "environment", "image_uri", "image_digest", "image_tag", "mode", "run_id")
print(json.dumps({"schema": 1, **{name: os.environ[name] for name in fields}, **identity}, indent=2))
PYTHON
  chmod 0644 "$SETTINGS/build.json.new"
  mv "$SETTINGS/build.json.new" "$SETTINGS/build.json"
}

# The facts that only this document has, as one JSON object.
own_facts() {
  python3 - "$RUN/image.json" <<'PYTHON'
import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    found = (json.load(stream)[0].get("Config") or {}).get("Labels") or {}

# The labels of our own say what is built; those of OCI may be the base image's.
OURS = ["ami-lifecycle.commit", "ami-lifecycle.branch"]
PREFIX = "org.opencontainers.image."
FIRST = OURS + [PREFIX + name for name in ("revision", "ref.name", "version", "source", "created")]
names = [name for name in FIRST if name in found] + sorted(n for n in found if n.startswith(PREFIX) and n not in FIRST)
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
PYTHON
}

main() {
  local times=() since=0
  read_parameters
  take_lock
  lap() {
    times+=("$1=$((SECONDS - since))")
    since=$SECONDS
  }
  say "$mode build of $application for $environment"
  container_unit check
  wait_for_cloud_init
  record_identity
  lap cloud_init
  quiet_background_updates
  install_packages
  lap packages
  configure_daemon
  find_store
  pull_image
  check_image "$RUN/image.json" "$reference"
  lap pull
  stop_application
  write_unit
  name_image
  remove_other_images "$(image_field Id)"
  write_record
  lap configure
  require_whole_packages
  say "removing what belongs to the builder"
  remove_builder_identity
  require_image
  lap cleanup
  print_facts "$(own_facts)" "${times[@]}" "total=$SECONDS"
}

main
