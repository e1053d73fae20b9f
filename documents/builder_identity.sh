# shellcheck shell=bash
# Part of provision_image.sh: who the builder is, and how its traces leave the image.

# Who this builder is, for the canary to compare with. Kept in /run, because the clean-up below removes the originals
# and a second run on the same builder must still know them.
record_identity() {
  [[ ! -e $RUN/identity.json ]] || return 0
  python3 - "$ROOT" "$(instance_id)" >"$RUN/identity.json.new" <<'PYTHON'
# program: documents/programs/builder_identity.py
PYTHON
  mv "$RUN/identity.json.new" "$RUN/identity.json"
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
    "$ROOT"/var/cache/dnf/* "$ROOT"/var/log/journal/* || status=1
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
  clean_packages
  # journald would make a deleted journal anew, under the builder's machine id: send it to /run first (journalctl(1)).
  journalctl --relinquish-var >>"$LOG" 2>&1 || true
  mkdir -p "$ROOT/tmp" "$ROOT/var/tmp" "$ROOT/var/log" "$ROOT/var/lib/dbus"
  clean_system >>"$LOG" 2>&1 || fail 20 "the builder's traces could not all be removed" "read the log lines below"
  left=$(find "$ROOT/root" "$ROOT/home" -maxdepth 4 '(' -name authorized_keys -o -name '.*_history' -o -path '*/.docker/config.json' \
    -o -path '*/.aws/credentials' -o -name .netrc ')' -print -quit 2>>"$LOG") || true
  [[ -z $left && ! -s $ROOT/etc/machine-id ]] || fail 20 "${left:-/etc/machine-id} is still there" "look at what writes it on the base image"
  clean_agent_at_shutdown
}
