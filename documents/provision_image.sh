#!/usr/bin/env bash
# Make this instance the content of an image: one Docker image, pinned by digest, started by systemd at boot.
# Parameters, facts, exit codes: documents/README.md. Safe to run again, also after it was killed, also twice at once.
set -euo pipefail
kind=provision
# shellcheck source=documents/prelude.sh
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
# shellcheck source=documents/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
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
export container_ipc='' container_network='' container_ulimits='' container_devices='' container_restart='' container_values='' container_programs=''
export gpu_enabled='' nvidia_toolkit='' nvidia_driver='' minimum_free_gib='' hooks=''
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
  parameter container_ipc ContainerIpc '^(-|private|shareable|host|none)$' -
  parameter container_network ContainerNetwork '^(-|bridge|host|none)$' -
  parameter container_ulimits ContainerUlimits \
    '^(-|[a-z]{3,10}=-?[0-9]{1,18}(:-?[0-9]{1,18})?(,[a-z]{3,10}=-?[0-9]{1,18}(:-?[0-9]{1,18})?)*)$' -
  parameter container_devices ContainerDevices '^(-|/dev/[A-Za-z0-9._/:-]+(,/dev/[A-Za-z0-9._/:-]+)*)$' -
  parameter container_restart ContainerRestart '^(no|always|unless-stopped|on-failure)$' always
  parameter container_values ContainerValues '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter container_programs ContainerPrograms '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter gpu_enabled GpuEnabled '^(true|false)$' false
  parameter nvidia_toolkit NvidiaToolkit '^(true|false)$' false
  parameter nvidia_driver NvidiaDriver '^(none|[0-9]{3}(-server)?(-open)?)$' none
  parameter minimum_free_gib MinimumFreeGiB '^[0-9]{1,5}$' 10
  parameter hooks Hooks '^(-|[A-Za-z0-9+/]+={0,2})$' -
  # A leading zero would make the shell read an octal number.
  minimum_free_gib=$((10#$minimum_free_gib))
  image_size_bytes=$((10#$image_size_bytes))
  decode container_environment ContainerEnvironment
  decode container_command ContainerCommand
  decode container_values ContainerValues
  readonly reference=$image_uri@$image_digest
}
stop_application() {
  systemctl stop "$application.service" >>"$LOG" 2>&1 || true
}

# container_unit check|write: the systemd unit and the file of variables of the container. What they cannot say is found
# by `check`, before anything is installed or pulled.
container_unit() {
  python3 - "$ROOT" "$reference" "$1" >>"$LOG" 2>&1 <<'PYTHON' || fail 10 "the container settings cannot be used" "read the reason below and correct the build settings"
# program: documents/programs/container_unit.py
PYTHON
}

# What the container gets at each start is fetched by the instance that starts it, with these programs: neither they nor
# their settings hold a value.
write_start_programs() {
  python3 - "$ROOT/usr/local/lib/ami-lifecycle" <<'PYTHON'
# program: documents/programs/start_programs.py
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
# program: documents/programs/build_record.py
PYTHON
  chmod 0644 "$SETTINGS/build.json.new"
  mv "$SETTINGS/build.json.new" "$SETTINGS/build.json"
}

# The facts that only this document has, as one JSON object.
own_facts() {
  python3 - "$RUN/image.json" <<'PYTHON'
# program: documents/programs/image_labels.py
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
  find_package_family
  quiet_background_updates
  install_packages
  lap packages
  run_hooks provision
  write_start_programs
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
  run_hooks provision_after
  require_whole_packages
  say "removing what belongs to the builder"
  remove_builder_identity
  require_image
  lap cleanup
  print_facts "$(own_facts)" "${times[@]}" "total=$SECONDS"
}

main
