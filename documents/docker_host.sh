# shellcheck shell=bash
# Part of provision_image.sh: the settings of the Docker daemon.

configure_daemon() {
  local settings=$ROOT/etc/docker/daemon.json before after
  mkdir -p "${settings%/*}"
  before=$(sha256sum <"$settings") || before=none
  python3 - "$settings" <<'PYTHON' || fail 19 "$settings is not a JSON object" "correct it in the base image"
# program: documents/programs/daemon_settings.py
PYTHON
  if [[ ${nvidia_toolkit:?} == true ]]; then
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
