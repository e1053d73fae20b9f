# shellcheck shell=bash
# Part of provision_image.sh: packages, and the settings of the Docker daemon.

readonly NVIDIA_ARCHIVE=https://nvidia.github.io/libnvidia-container
readonly NVIDIA_KEY=C95B321B61E88C1809C4F759DDCAE044F796ECB0

# NEEDRESTART_SUSPEND: Ubuntu's needrestart would otherwise restart services, the SSM Agent among them, after apt.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

readonly UPGRADE_TIMEOUT_SECONDS=900

# Nothing but this build may change the image, and a refresh of the agent's snap would end this very command.
# Neither outlives this boot, or the three hours. The user data holds the snap from the boot to here.
quiet_background_updates() {
  if command -v snap >/dev/null; then
    timeout --kill-after=5 60 snap refresh --hold=3h amazon-ssm-agent >>"$LOG" 2>&1 || true
  fi
  systemctl stop apt-daily.timer apt-daily-upgrade.timer >>"$LOG" 2>&1 || true
  wait_for_upgrades
}

# Upgrades that are running or about to run, as systemd names their states; nothing when there is none. Such a oneshot
# service is "activating" while it runs, and still "inactive" while its job waits for another.
upgrades() {
  local states
  states=$(systemctl show --property=ActiveState,Job apt-daily.service apt-daily-upgrade.service 2>&1) || states="systemctl: $states"
  grep --invert-match --extended-regexp '^(ActiveState=(inactive|failed)|Job=0?)?$' <<<"$states" || true
}

# A timer that has stopped leaves what it had started. That holds dpkg's lock, and the clean-up would take away its
# package lists and the shutdown end it half-way.
wait_for_upgrades() {
  local waited=0 running
  while running=$(upgrades) && [[ -n $running ]]; do
    if ((waited == 0)); then say "waiting for Ubuntu's own upgrade to end"; fi
    if ((waited >= UPGRADE_TIMEOUT_SECONDS)); then
      journalctl --unit apt-daily.service --unit apt-daily-upgrade.service --lines 20 --no-pager >>"$LOG" 2>&1 || true
      printf '%s\n' "$running" >>"$LOG"
      fail 13 "Ubuntu's own upgrade by apt-daily.service or apt-daily-upgrade.service has not ended in $UPGRADE_TIMEOUT_SECONDS seconds" \
        "read its last journal lines below, then run again"
    fi
    sleep 5
    waited=$((waited + 5))
  done
}

# An image keeps a package as it is. dpkg says nothing when all are whole (dpkg(1), --audit).
require_whole_packages() {
  local findings names
  findings=$(dpkg --audit 2>&1) || findings+=$'\n'"dpkg --audit ended with status $?"
  [[ -n $findings ]] || return 0
  printf '%s\n' "$findings" >>"$LOG"
  names=$(sed --quiet 's/^ \([^ ]\{1,\}\).*/\1/p' <<<"$findings")
  names=${names//$'\n'/ }
  names=${names:-packages}
  fail 13 "dpkg --audit says that ${names:0:400} are not wholly installed" \
    "read below what they lack; run again, or repair the base image"
}

apt() {
  # Ubuntu's own first-boot upgrades hold these locks for minutes (apt.conf(5), DPkg::Lock::Timeout).
  timeout 1800 apt-get --quiet --yes -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" >>"$LOG" 2>&1
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

installed() { dpkg-query --show "$1" >>"$LOG" 2>&1; }

# Only what is missing is installed: an update of an image that we made touches no package.
install_packages() {
  local packages=() driver=${nvidia_driver:?}
  driver=${driver%-open}
  # A run that was killed inside dpkg leaves it unconfigured; this is a no-op otherwise.
  timeout 1800 dpkg --configure -a >>"$LOG" 2>&1 || true
  command -v dockerd >/dev/null || packages+=(docker.io pigz)
  command -v curl >/dev/null || packages+=(curl)
  if is_ecr && ! command -v docker-credential-ecr-login >/dev/null; then packages+=(amazon-ecr-credential-helper); fi
  if [[ $nvidia_driver != none ]] && ! installed "nvidia-utils-$driver"; then
    packages+=("linux-modules-nvidia-$nvidia_driver-aws" "nvidia-headless-no-dkms-$nvidia_driver" "nvidia-utils-$driver")
  fi
  if [[ ${nvidia_toolkit:?} == true ]] && ! command -v nvidia-ctk >/dev/null; then
    add_nvidia_archive
    packages+=(nvidia-container-toolkit)
  fi
  if ((${#packages[@]} > 0)); then
    say "installing ${packages[*]}"
    apt_update
    apt install --no-install-recommends "${packages[@]}" ||
      fail 13 "apt-get could not install ${packages[*]}" "read the log lines below, then run again"
  fi
  # Archives that have split the client from docker.io only recommend it there (Debian since version 27).
  command -v docker >/dev/null || apt install --no-install-recommends docker-cli ||
    fail 13 "docker.io came without the docker command, and apt-get could not install docker-cli" "read the log lines below"
}

configure_daemon() {
  local settings=$ROOT/etc/docker/daemon.json before after
  mkdir -p "${settings%/*}"
  before=$(sha256sum <"$settings") || before=none
  python3 - "$settings" <<'PYTHON' || fail 19 "$settings is not a JSON object" "correct it in the base image"
# program: documents/programs/daemon_settings.py
PYTHON
  if [[ $nvidia_toolkit == true ]]; then
    nvidia-ctk runtime configure --runtime=docker --config="$settings" >>"$LOG" 2>&1 ||
      fail 19 "nvidia-ctk could not add its runtime to Docker" "read the log lines below"
  fi
  after=$(sha256sum <"$settings")
  systemctl enable docker.service >>"$LOG" 2>&1 || fail 18 "docker.service cannot be enabled" "look at the base image"
  if [[ $before != "$after" ]] || ! docker info >/dev/null 2>>"$LOG"; then
    systemctl restart docker.service >>"$LOG" 2>&1 || {
      journalctl --unit docker.service --lines 20 --no-pager >>"$LOG" 2>&1 || true
      fail 18 "the Docker daemon does not start" "read its last journal lines below"
    }
  fi
  wait_for_docker
}
