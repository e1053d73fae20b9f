#!/usr/bin/env bash
# Make this instance the content of an image: one Docker image, pinned by digest, started by systemd at boot.
# Parameters, facts, exit codes: documents/README.md. Safe to run again, also after it was killed, also twice at once.
set -euo pipefail
kind=provision
# shellcheck source=documents/prelude.sh
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

readonly PULL_TIMEOUT_SECONDS=5400
readonly PULL_ATTEMPTS=5
readonly NVIDIA_ARCHIVE=https://nvidia.github.io/libnvidia-container
readonly NVIDIA_KEY=C95B321B61E88C1809C4F759DDCAE044F796ECB0
readonly SETTINGS=$ROOT/etc/ami-lifecycle

# NEEDRESTART_SUSPEND: Ubuntu's needrestart would otherwise restart services, the SSM Agent among them, after apt.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

# Exported, because the Python parts below read them too.
export image_uri='' image_digest='' image_tag='' mode='' region='' application='' environment='' run_id=''
export container_ports='' container_environment='' container_command='' container_volumes='' container_shm_mib=''
export gpu_enabled='' nvidia_toolkit='' nvidia_driver='' minimum_free_gib=''
read_parameters() {
  parameter image_uri ImageUri '^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$'
  parameter image_digest ImageDigest '^sha256:[0-9a-f]{64}$'
  parameter image_tag ImageTag '^(-|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})$' -
  parameter mode Mode '^(fresh|update)$'
  parameter region Region '^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$'
  parameter application Application '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'
  parameter environment Environment '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'
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
  decode container_environment ContainerEnvironment
  decode container_command ContainerCommand
  readonly reference=$image_uri@$image_digest
}

# Who this builder is, for the canary to compare with. Kept in /run, because the clean-up below removes the originals
# and a second run on the same builder must still know them.
record_identity() {
  [[ ! -e $RUN/identity.json ]] || return 0
  python3 - "$ROOT" "$(instance_id)" >"$RUN/identity.json.new" <<'PYTHON'
import hashlib
import json
import pathlib
import sys
import time

root, instance_id = pathlib.Path(sys.argv[1] or "/"), sys.argv[2]


def digest(path):
    return hashlib.sha256(path.read_bytes().strip()).hexdigest()


machine_id = root / "etc/machine-id"
print(json.dumps({
    "builder_instance_id": instance_id,
    "machine_id_sha256": digest(machine_id) if machine_id.exists() else None,
    "ssh_host_keys_sha256": sorted(digest(path) for path in root.glob("etc/ssh/ssh_host_*_key.pub")),
    "provisioned_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
}))
PYTHON
  mv "$RUN/identity.json.new" "$RUN/identity.json"
}

# Nothing but this build may change the image, and a refresh of the agent's snap would end this very command.
# Neither outlives this boot, or the three hours.
quiet_background_updates() {
  systemctl stop apt-daily.timer apt-daily-upgrade.timer >>"$LOG" 2>&1 || true
  if command -v snap >/dev/null; then snap refresh --hold=3h amazon-ssm-agent >>"$LOG" 2>&1 || true; fi
}

apt() {
  # Ubuntu's own first-boot upgrades hold these locks for minutes (apt.conf(5), DPkg::Lock::Timeout).
  timeout 1800 apt-get --quiet --yes -o DPkg::Lock::Timeout=600 -o APT::Acquire::Retries=3 "$@" >>"$LOG" 2>&1
}

apt_update() {
  local attempt
  for attempt in 1 2 3 4 5; do
    if apt update; then return 0; fi
    # The lock on the package lists is not covered by DPkg::Lock::Timeout.
    sleep $((attempt * 10))
  done
  fail 13 "the package lists could not be fetched" "check the subnet's way to Ubuntu's archive, then run again"
}

# NVIDIA's toolkit is not in Ubuntu's archive. The key is pinned, and signed-by lets it vouch for this archive alone.
add_nvidia_archive() {
  local key=$ROOT/usr/share/keyrings/ami-lifecycle-nvidia.asc
  mkdir -p "$ROOT/usr/share/keyrings" "$ROOT/etc/apt/sources.list.d"
  curl --fail --silent --show-error --location --retry 4 --max-time 60 --output "$key.new" "$NVIDIA_ARCHIVE/gpgkey" >>"$LOG" 2>&1 ||
    fail 13 "the signing key of NVIDIA's archive could not be fetched" "check the subnet's way to it, then run again"
  gpg --batch --show-keys --with-colons "$key.new" 2>>"$LOG" | grep --quiet "^fpr:*$NVIDIA_KEY:" ||
    fail 13 "the signing key of NVIDIA's archive is not $NVIDIA_KEY" "find out whether NVIDIA changed its key, then pin the new one here"
  chmod 0644 "$key.new"
  mv "$key.new" "$key"
  printf 'deb [signed-by=%s] %s/stable/deb/%s /\n' /usr/share/keyrings/ami-lifecycle-nvidia.asc "$NVIDIA_ARCHIVE" \
    "$(dpkg --print-architecture)" >"$ROOT/etc/apt/sources.list.d/ami-lifecycle-nvidia.list"
  chmod 0644 "$ROOT/etc/apt/sources.list.d/ami-lifecycle-nvidia.list"
}

is_ecr() { [[ $image_uri =~ ^[0-9]{12}\.dkr[.-]ecr ]]; }

installed() { dpkg-query --show "$1" >>"$LOG" 2>&1; }

# Only what is missing is installed: an update of an image that we made touches no package.
install_packages() {
  local packages=() driver=${nvidia_driver%-open}
  # A run that was killed inside dpkg leaves it unconfigured; this is a no-op otherwise.
  timeout 1800 dpkg --configure -a >>"$LOG" 2>&1 || true
  command -v dockerd >/dev/null || packages+=(docker.io pigz)
  command -v curl >/dev/null || packages+=(curl)
  if is_ecr && ! command -v docker-credential-ecr-login >/dev/null; then packages+=(amazon-ecr-credential-helper); fi
  if [[ $nvidia_driver != none ]] && ! installed "nvidia-utils-$driver"; then
    packages+=("linux-modules-nvidia-$nvidia_driver-aws" "nvidia-headless-no-dkms-$nvidia_driver" "nvidia-utils-$driver")
  fi
  if [[ $nvidia_toolkit == true ]] && ! command -v nvidia-ctk >/dev/null; then
    add_nvidia_archive
    packages+=(nvidia-container-toolkit)
  fi
  if ((${#packages[@]} > 0)); then
    say "installing ${packages[*]}"
    apt_update
    apt install --no-install-recommends "${packages[@]}" ||
      fail 13 "apt-get could not install ${packages[*]}" "read the log lines below, then run again"
  fi
}

configure_daemon() {
  local settings=$ROOT/etc/docker/daemon.json before after
  mkdir -p "${settings%/*}"
  before=$(sha256sum <"$settings") || before=none
  python3 - "$settings" <<'PYTHON' || fail 19 "$settings is not a JSON object" "correct it in the base image"
import json
import os
import sys

path = sys.argv[1]
settings = {}
if os.path.exists(path):
    with open(path, encoding="utf-8") as stream:
        settings = json.load(stream)
settings.update({
    "live-restore": True,
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "5"},
    "max-concurrent-downloads": 10,
    "max-download-attempts": 10,
})
with open(path + ".new", "w", encoding="utf-8") as stream:
    json.dump(settings, stream, indent=2, sort_keys=True)
    stream.write("\n")
os.chmod(path + ".new", 0o644)
os.replace(path + ".new", path)
PYTHON
  if [[ $nvidia_toolkit == true ]]; then
    nvidia-ctk runtime configure --runtime=docker --config="$settings" >>"$LOG" 2>&1 ||
      fail 19 "nvidia-ctk could not add its runtime to Docker" "read the log lines below"
  fi
  after=$(sha256sum <"$settings")
  systemctl enable docker.service >>"$LOG" 2>&1 || fail 18 "docker.service cannot be enabled" "look at the base image"
  if [[ $before != "$after" ]] || ! docker info >>"$LOG" 2>&1; then
    systemctl restart docker.service >>"$LOG" 2>&1 || {
      journalctl --unit docker.service --lines 20 --no-pager >>"$LOG" 2>&1 || true
      fail 18 "the Docker daemon does not start" "read its last journal lines below"
    }
  fi
  wait_for_docker
}

has_image() {
  docker image inspect "$reference" >"$RUN/image.json" 2>>"$LOG"
}

other_images() {
  docker image ls --all --quiet --no-trunc | sort --unique | grep --invert-match --fixed-strings --line-regexp "$1" || true
}

# remove_other_images IMAGE_ID: all containers, and all images but this one.
# Never `docker image prune`: it also takes an image that is known by digest alone (moby issue 42664).
remove_other_images() {
  local containers images id left
  mapfile -t containers < <(docker ps --all --quiet)
  ((${#containers[@]} == 0)) || docker rm --force --volumes "${containers[@]}" >>"$LOG" 2>&1 || true
  # A parent goes only after its children, so one pass may not be enough.
  for _ in 1 2 3; do
    mapfile -t images < <(other_images "$1")
    ((${#images[@]} > 0)) || break
    for id in "${images[@]}"; do docker image rm --force "$id" >>"$LOG" 2>&1 || true; done
  done
  left=$(other_images "$1")
  [[ -z $left ]] || fail 17 "images other than the one asked for cannot be removed: ${left//$'\n'/ }" "read the log lines below"
  docker volume prune --force >>"$LOG" 2>&1 || true
}

check_free_space() {
  local needed=$((minimum_free_gib * 1024 * 1024 * 1024)) free
  free=$(free_bytes)
  if ((free < needed)) && [[ $mode == update ]]; then
    say "low on space: removing the old image before the pull"
    stop_application
    remove_other_images none
    free=$(free_bytes)
  fi
  ((free >= needed)) ||
    fail 14 "$((free / 1024 / 1024)) MiB are free, $minimum_free_gib GiB are needed" "raise the size of the builder's volume in the build settings"
}

# The helper asks ECR for a token with the instance's role at each pull; nothing is ever stored (amazon-ecr-credential-helper).
sign_in() {
  local registry=${image_uri%%/*}
  mkdir -p "$DOCKER_CONFIG"
  is_ecr || return 0
  export AWS_REGION=$region
  printf '{"credHelpers": {"%s": "ecr-login"}}\n' "$registry" >"$DOCKER_CONFIG/config.json"
  printf '%s' "$registry" | timeout 120 docker-credential-ecr-login get 2>>"$LOG" >/dev/null ||
    fail 15 "the registry $registry did not sign this builder in" "check the builder's instance profile: it needs ecr:GetAuthorizationToken"
}

# Some failures do not pass by waiting: say so at once.
stop_at_permanent_error() {
  local output
  output=$(tail -c 4096 "$1")
  case ${output,,} in
    *"no space left on device"*) fail 14 "the disk became full during the pull" "raise the size of the builder's volume in the build settings" ;;
    *"no basic auth credentials"* | *unauthorized* | *"denied"* | *"403 forbidden"*)
      fail 15 "the registry refused the pull of $image_uri" "check the builder's instance profile and the repository's policy" ;;
    *"no matching manifest"*) fail 17 "$reference has no variant for $(uname -m)" "push one, or change the instance type" ;;
    *"manifest unknown"* | *"manifest for "*" not found"* | *"does not exist"*)
      fail 16 "$reference is not in the registry" "push the image again" ;;
  esac
}

pull_image() {
  local attempt left started=$SECONDS output=$RUN/pull-$$.log
  if has_image; then
    say "the image is already here"
    return 0
  fi
  check_free_space
  sign_in
  for ((attempt = 1; attempt <= PULL_ATTEMPTS; attempt++)); do
    left=$((PULL_TIMEOUT_SECONDS - (SECONDS - started)))
    ((left > 0)) || break
    say "pulling $reference, attempt $attempt"
    # Docker keeps the layers that are complete, so each attempt goes on where the last one ended.
    if timeout --kill-after=30 "$left" docker pull --quiet "$reference" >"$output" 2>&1; then
      has_image || fail 17 "the registry delivered another image than $reference" "push the image again"
      return 0
    fi
    cat "$output" >>"$LOG"
    stop_at_permanent_error "$output"
    sleep $((attempt * 5))
  done
  fail 16 "$reference could not be pulled in $((attempt - 1)) attempts" "check the subnet's way to the registry, then run again"
}

# The tag is for people who look at `docker images`, and keeps a later `docker image prune` from taking the image.
name_image() {
  local name=$image_uri:${image_tag/#-/ami-lifecycle} old
  docker tag "$reference" "$name" >>"$LOG" 2>&1 || fail 17 "the image cannot be tagged as $name" "read the log lines below"
  while read -r old; do
    [[ -z $old || $old == "$name" ]] || docker image rm "$old" >>"$LOG" 2>&1 || true
  done < <(image_field RepoTags)
}

# image_field NAME: a field of the inspected image; the items of a list, one in a line.
image_field() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1], encoding="utf-8"))[0].get(sys.argv[2]) or []
print("\n".join(value) if isinstance(value, list) else value)
' "$RUN/image.json" "$1"
}

stop_application() {
  systemctl stop "$application.service" >>"$LOG" 2>&1 || true
}

write_unit() {
  mkdir -p "$SETTINGS" "$ROOT/etc/systemd/system"
  chmod 0755 "$SETTINGS"
  python3 - "$ROOT" "$reference" >>"$LOG" 2>&1 <<'PYTHON' || fail 10 "the container settings cannot be used" "read the reason below and correct the build settings"
import json
import os
import pathlib
import re
import sys

root, reference = pathlib.Path(sys.argv[1] or "/"), sys.argv[2]
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
    if any(re.search(r"[\x00-\x1f\x7f]", text) for text in texts):
        sys.exit(f"{name} must not hold control characters: neither systemd nor Docker's env file can carry them")
    return value


def quoted(word):
    # systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers".
    if re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", word):
        return word
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(old, new)
    return f'"{word}"'


run = ["/usr/bin/docker", "run", "--rm", "--pull=never", "--name", application]
if setting("gpu_enabled") == "true":
    run += ["--gpus", "all"]
if int(setting("container_shm_mib")) > 0:
    run += ["--shm-size", str(int(setting("container_shm_mib"))) + "m"]
for port in listed("container_ports"):
    if not all(0 < int(number) < 65536 for number in port.split(":")):
        sys.exit(f"container_ports has a number that is no port: {port}")
    run += ["--publish", port if ":" in port else f"{port}:{port}"]
for volume in listed("container_volumes"):
    run += ["--volume", volume]

variables = parsed("container_environment", {})
bad = [name for name in variables if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
if bad:
    sys.exit(f"container_environment has a name that no shell accepts: {bad[0]!r}")
replace(root / f"etc/ami-lifecycle/{application}.env", "".join(f"{k}={v}\n" for k, v in sorted(variables.items())), 0o600)
run += ["--env-file", f"/etc/ami-lifecycle/{application}.env", reference, *parsed("container_command", [])]

replace(root / f"etc/systemd/system/{application}.service", f"""\
[Unit]
Description={application}, pinned by ami-lifecycle
Requires=docker.service
Wants=network-online.target
After=docker.service network-online.target

[Service]
ExecStartPre=-/usr/bin/docker rm --force {application}
ExecStart={" ".join(map(quoted, run))}
ExecStop=-/usr/bin/docker stop -t 30 {application}
Restart=always
RestartSec=5
TimeoutStartSec=infinity
TimeoutStopSec=45
# Docker keeps and rotates what the container prints to its standard output.
StandardOutput=null

[Install]
WantedBy=multi-user.target
""", 0o644)
PYTHON
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

# What belongs to this builder and to no instance made from it.
clean_system() {
  local home status=0
  for home in "$ROOT"/root "$ROOT"/home/*; do
    [[ -d $home ]] || continue
    rm -rf "$home"/.ssh/* "$home"/.docker "$home"/.ecr "$home"/.aws "$home"/.netrc "$home"/.git-credentials \
      "$home"/.*_history "$home"/.viminfo "$home"/.lesshst "$home"/.wget-hsts "$home"/.cache || status=1
  done
  rm -rf "$ROOT"/etc/ssh/ssh_host_*_key "$ROOT"/etc/ssh/ssh_host_*_key.pub "$ROOT"/etc/netplan/50-cloud-init.yaml \
    "$ROOT"/var/lib/systemd/random-seed "$ROOT"/var/lib/systemd/credential.secret "$ROOT"/var/lib/dhcp/*.leases \
    "$ROOT"/var/lib/ubuntu-advantage/private "$ROOT"/var/lib/systemd/coredump/* "$ROOT"/var/crash/* "$ROOT"/var/mail/* \
    "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/cache/apt/archives/*.deb \
    "$ROOT"/var/log/journal/* || status=1
  # Services that run keep their private directories.
  find "$ROOT/tmp" "$ROOT/var/tmp" -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name snap-private-tmp \
    -exec rm -rf '{}' + || status=1
  find "$ROOT/var/log" -type f '(' -name '*.gz' -o -name '*.xz' -o -name '*.[0-9]' -o -name '*.old' ')' -delete || status=1
  # Services hold their logs open: a truncated file goes on to work, a deleted one does not.
  find "$ROOT/var/log" -type f -size +0 -exec truncate --size=0 '{}' + || status=1
  # An empty file makes systemd write a new id at the next boot (machine-id(5)).
  truncate --size=0 "$ROOT/etc/machine-id" || status=1
  ln --symbolic --force /etc/machine-id "$ROOT/var/lib/dbus/machine-id" || status=1
  return "$status"
}

# Vault holds the agent's registration, i-* the commands it ran with their scripts and outputs. What it installed stays.
clean_agent() {
  rm -rf "$ROOT"/var/lib/amazon/ssm/{Vault,i-*,mi-*,registration,runtimeconfig,ipc}
}

# The agent's own state names this builder, but the agent needs it to report how this command ended.
# So it goes when the agent has stopped: systemd stops units in reverse order of Before=.
# The unit lives in /run and is gone with this boot.
clean_agent_at_shutdown() {
  local units=$ROOT/run/systemd/system
  mkdir -p "$units" "$RUN"
  {
    printf 'ROOT=%q\n' "$ROOT"
    declare -f clean_agent clean_system
    printf '%s\n' clean_agent clean_system sync
  } >"$RUN/finish.sh"
  cat >"$units/ami-lifecycle-finish.service" <<UNIT
[Unit]
Description=Remove the identity of this builder when everything else has stopped
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target
Before=shutdown.target systemd-random-seed.service rsyslog.service cloud-init.service cloud-config.service cloud-final.service
Before=amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service docker.service ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/bash /run/ami-lifecycle/finish.sh
TimeoutStopSec=60
UNIT
  chmod 0644 "$units/ami-lifecycle-finish.service"
  systemctl daemon-reload >>"$LOG" 2>&1 || fail 20 "systemd refused to reload its units" "read the log lines below"
  systemctl start ami-lifecycle-finish.service >>"$LOG" 2>&1 ||
    fail 20 "the clean-up at shutdown cannot be set up" "read the log lines below"
}

remove_builder_identity() {
  local left
  cloud-init clean --logs >>"$LOG" 2>&1 || fail 20 "cloud-init could not clean its state" "read the log lines below"
  apt-get clean >>"$LOG" 2>&1 || true
  # journald would make a deleted journal anew, under the builder's machine id: send it to /run first (journalctl(1)).
  journalctl --relinquish-var >>"$LOG" 2>&1 || true
  mkdir -p "$ROOT/tmp" "$ROOT/var/tmp" "$ROOT/var/log" "$ROOT/var/lib/dbus"
  clean_system >>"$LOG" 2>&1 || fail 20 "the builder's traces could not all be removed" "read the log lines below"
  left=$(find "$ROOT/root" "$ROOT/home" -maxdepth 4 '(' -name authorized_keys -o -name '.*_history' -o -path '*/.docker/config.json' \
    -o -path '*/.aws/credentials' -o -name .netrc ')' -print -quit 2>>"$LOG") || true
  [[ -z $left && ! -s $ROOT/etc/machine-id ]] || fail 20 "${left:-/etc/machine-id} is still there" "look at what writes it on the base image"
  clean_agent_at_shutdown
}

print_facts() {
  python3 - "$RUN/image.json" "$ROOT/etc/os-release" "$@" <<'PYTHON'
import json
import os
import platform
import re
import sys

image_path, release_path, docker_version, free, *durations = sys.argv[1:]
with open(image_path, encoding="utf-8") as stream:
    image = json.load(stream)[0]
release = {}
if os.path.exists(release_path):
    with open(release_path, encoding="utf-8") as stream:
        for line in stream:
            name, _, value = line.strip().partition("=")
            release[name] = value.strip('"')

PREFIX = "org.opencontainers.image."
FIRST = [PREFIX + name for name in ("revision", "ref.name", "version", "source", "created")]
found = (image.get("Config") or {}).get("Labels") or {}
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

version = re.search(r"\d+(\.\d+)+", docker_version)
print(json.dumps({
    "schema": 1,
    "kind": "provision",
    "image_digest": os.environ["image_digest"],
    "image_size_bytes": image.get("Size"),
    "image_labels": labels,
    "os": {"name": release.get("NAME"), "version": release.get("VERSION_ID")},
    "kernel": platform.release(),
    "docker_version": version.group() if version else None,
    "free_bytes": int(free),
    "mode": os.environ["mode"],
    "duration_seconds": {name: int(value) for name, value in (item.split("=") for item in durations)},
}, separators=(",", ":")))
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
  wait_for_cloud_init
  record_identity
  quiet_background_updates
  lap cloud_init
  install_packages
  lap packages
  configure_daemon
  pull_image
  check_image "$RUN/image.json" "$reference"
  lap pull
  stop_application
  write_unit
  name_image
  remove_other_images "$(image_field Id)"
  write_record
  lap configure
  say "removing what belongs to the builder"
  remove_builder_identity
  lap cleanup
  print_facts "$(docker --version)" "$(free_bytes)" "${times[@]}" "total=$SECONDS"
}

main
