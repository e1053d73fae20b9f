# shellcheck shell=bash
# Part of provision_image.sh: packages, in the two families that bases have: apt (Ubuntu, Debian) and dnf (Amazon Linux 2023).

readonly NVIDIA_ARCHIVE=https://nvidia.github.io/libnvidia-container
readonly NVIDIA_KEY=C95B321B61E88C1809C4F759DDCAE044F796ECB0

# NEEDRESTART_SUSPEND: Ubuntu's needrestart would otherwise restart services, the SSM Agent among them, after apt.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

readonly UPGRADE_TIMEOUT_SECONDS=900

# The system's own upgrades: timers that start them, and what they start.
upgrade_timers=() upgrade_services=()

find_package_family() {
  if command -v apt-get >/dev/null; then
    family=apt
    upgrade_timers=(apt-daily.timer apt-daily-upgrade.timer)
    upgrade_services=(apt-daily.service apt-daily-upgrade.service)
  elif command -v dnf >/dev/null; then
    family=dnf
    upgrade_timers=(dnf-automatic.timer dnf-automatic-install.timer dnf-makecache.timer)
    upgrade_services=(dnf-automatic.service dnf-automatic-install.service dnf-makecache.service)
  else
    fail 12 "the base image has neither apt-get nor dnf" "name a base of Ubuntu, Debian or Amazon Linux 2023, or one made from them"
  fi
}

# Nothing but this build may change the image, and a refresh of the agent's snap would end this very command.
# Neither outlives this boot, or the three hours. The user data holds the snap from the boot to here.
quiet_background_updates() {
  if command -v snap >/dev/null; then
    timeout --kill-after=5 60 snap refresh --hold=3h amazon-ssm-agent >>"$LOG" 2>&1 || true
  fi
  systemctl stop "${upgrade_timers[@]}" >>"$LOG" 2>&1 || true
  wait_for_upgrades
}

# Upgrades that are running or about to run, as systemd names their states; nothing when there is none. Such a oneshot
# service is "activating" while it runs, and still "inactive" while its job waits for another.
upgrades() {
  local states
  states=$(systemctl show --property=ActiveState,Job "${upgrade_services[@]}" 2>&1) || states="systemctl: $states"
  grep --invert-match --extended-regexp '^(ActiveState=(inactive|failed)|Job=0?)?$' <<<"$states" || true
}

# A timer that has stopped leaves what it had started. That holds the package manager's lock, and the clean-up would take
# away its package lists and the shutdown end it half-way.
wait_for_upgrades() {
  local waited=0 running
  while running=$(upgrades) && [[ -n $running ]]; do
    if ((waited == 0)); then say "waiting for the system's own upgrade to end"; fi
    if ((waited >= UPGRADE_TIMEOUT_SECONDS)); then
      journalctl "${upgrade_services[@]/#/--unit=}" --lines 20 --no-pager >>"$LOG" 2>&1 || true
      printf '%s\n' "$running" >>"$LOG"
      fail 13 "the system's own upgrade by ${upgrade_services[0]} or ${upgrade_services[1]} has not ended in $UPGRADE_TIMEOUT_SECONDS seconds" \
        "read its last journal lines below, then run again"
    fi
    sleep 5
    waited=$((waited + 5))
  done
}

# An image keeps a package as it is.
require_whole_packages() {
  local findings names check='dpkg --audit'
  [[ $family == apt ]] || check='dnf check'
  findings=$("${family}_findings" 2>&1) || findings+=$'\n'"$check ended with status $?"
  [[ -n $findings ]] || return 0
  printf '%s\n' "$findings" >>"$LOG"
  names=$(sed --quiet 's/^ \([^ ]\{1,\}\).*/\1/p' <<<"$findings")
  names=${names//$'\n'/ }
  names=${names:-packages}
  fail 13 "$check says that ${names:0:400} are not wholly installed" \
    "read below what they lack; run again, or repair the base image"
}

# dpkg says nothing when all are whole (dpkg(1), --audit).
apt_findings() {
  dpkg --audit
}

# A transaction that was interrupted leaves a package in two versions (dnf(8), check; rpm has no half installed ones). What
# dnf remarks beside them, as a release that it cannot tell, is no finding.
dnf_findings() {
  dnf --quiet --cacheonly check --duplicates 2>>"$LOG"
}

apt() {
  # The system's own first-boot upgrades hold these locks for minutes (apt.conf(5), DPkg::Lock::Timeout).
  timeout 1800 apt-get --quiet --yes -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" >>"$LOG" 2>&1
}

apt_update() {
  local attempt
  for attempt in 1 2 3 4 5; do
    if apt update; then return 0; fi
    # The lock on the package lists is not covered by DPkg::Lock::Timeout.
    sleep $((attempt * 10))
  done
  fail 13 "the package lists could not be fetched" "check the subnet's way to the package archive of the base, then run again"
}

apt_install() {
  apt_update
  apt install --no-install-recommends "$@" ||
    fail 13 "apt-get could not install $*" "read the log lines below, then run again"
}

# dnf waits for its lock by itself, and fetches its lists as it needs them.
dnf_install() {
  local attempt
  for attempt in 1 2 3 4 5; do
    if timeout 1800 dnf --quiet --assumeyes --setopt=install_weak_deps=False install "$@" >>"$LOG" 2>&1; then return 0; fi
    sleep $((attempt * 10))
  done
  fail 13 "dnf could not install $*" "read the log lines below, check the subnet's way to the package archive of the base, then run again"
}

# The toolkit is in no distribution's archive. The key is pinned, and vouches for this archive alone.
add_nvidia_archive() {
  local key=$ROOT$1
  mkdir -p "${key%/*}"
  curl --fail --silent --show-error --location --retry 4 --max-time 60 --output "$key.new" "$NVIDIA_ARCHIVE/gpgkey" >>"$LOG" 2>&1 ||
    fail 13 "the signing key of NVIDIA's archive could not be fetched" "check the subnet's way to it, then run again"
  gpg --batch --show-keys --with-colons "$key.new" 2>>"$LOG" | grep --quiet "^fpr:*$NVIDIA_KEY:" ||
    fail 13 "the signing key of NVIDIA's archive is not $NVIDIA_KEY" "find out whether NVIDIA changed its key, then pin the new one here"
  chmod 0644 "$key.new"
  mv "$key.new" "$key"
}

apt_add_nvidia() {
  local key=/usr/share/keyrings/ami-lifecycle-nvidia.asc list=$ROOT/etc/apt/sources.list.d/ami-lifecycle-nvidia.list
  command -v gpg >/dev/null || apt_install gpg
  add_nvidia_archive "$key"
  mkdir -p "${list%/*}"
  printf 'deb [signed-by=%s] %s/stable/deb/%s /\n' "$key" "$NVIDIA_ARCHIVE" "$(dpkg --print-architecture)" >"$list"
  chmod 0644 "$list"
}

# As NVIDIA's own file: the list is signed, and names the hash of each package.
dnf_add_nvidia() {
  local key=/etc/pki/rpm-gpg/ami-lifecycle-nvidia.asc list=$ROOT/etc/yum.repos.d/ami-lifecycle-nvidia.repo
  command -v gpg >/dev/null || dnf_install gnupg2
  add_nvidia_archive "$key"
  mkdir -p "${list%/*}"
  # shellcheck disable=SC2016 # dnf's own variable
  printf '[ami-lifecycle-nvidia]\nname=NVIDIA container toolkit\nbaseurl=%s/stable/rpm/$basearch\nenabled=1\nrepo_gpgcheck=1\ngpgcheck=0\ngpgkey=file://%s\n' \
    "$NVIDIA_ARCHIVE" "$key" >"$list"
  chmod 0644 "$list"
}

installed() { dpkg-query --show "$1" >>"$LOG" 2>&1; }

is_ubuntu() { grep --quiet --extended-regexp '^ID="?ubuntu"?$' "$ROOT/etc/os-release"; }

# What is missing of the application's needs, as this family names it.
missing_packages() {
  local driver=${nvidia_driver:?}
  driver=${driver%-open}
  if ! command -v dockerd >/dev/null; then
    if [[ $family == apt ]]; then packages+=(docker.io pigz); else packages+=(docker pigz); fi
    # Docker starts no container where the kernel has AppArmor and the parser is missing, which docker.io only recommends
    # (moby, daemon/apparmor_default.go).
    if [[ $family == apt && -d $ROOT/sys/module/apparmor ]] && ! command -v apparmor_parser >/dev/null; then packages+=(apparmor); fi
  fi
  command -v curl >/dev/null || packages+=(curl)
  if is_ecr && ! command -v docker-credential-ecr-login >/dev/null; then packages+=(amazon-ecr-credential-helper); fi
  [[ $nvidia_driver != none ]] || return 0
  is_ubuntu ||
    fail 10 "NvidiaDriver is $nvidia_driver, a branch of Ubuntu's packages, and the base is no Ubuntu" \
      "leave container.nvidia_driver out, or set base to an Ubuntu or to a deep learning image"
  installed "nvidia-utils-$driver" ||
    packages+=("linux-modules-nvidia-$nvidia_driver-aws" "nvidia-headless-no-dkms-$nvidia_driver" "nvidia-utils-$driver")
}

# Only what is missing is installed: an update of an image that we made touches no package.
install_packages() {
  local packages=()
  # A run that was killed inside dpkg leaves it unconfigured; this is a no-op otherwise.
  [[ $family != apt ]] || timeout 1800 dpkg --configure -a >>"$LOG" 2>&1 || true
  missing_packages
  if [[ ${nvidia_toolkit:?} == true ]] && ! command -v nvidia-ctk >/dev/null; then
    "${family}_add_nvidia"
    packages+=(nvidia-container-toolkit)
  fi
  if ((${#packages[@]} > 0)); then
    say "installing ${packages[*]}"
    "${family}_install" "${packages[@]}"
  fi
  # Archives that have split the client from docker.io only recommend it there (Debian since version 27).
  command -v docker >/dev/null || apt install --no-install-recommends docker-cli ||
    fail 13 "docker.io came without the docker command, and apt-get could not install docker-cli" "read the log lines below"
}

clean_packages() {
  if [[ $family == apt ]]; then apt-get clean; else dnf --quiet clean all; fi >>"$LOG" 2>&1 || true
}
