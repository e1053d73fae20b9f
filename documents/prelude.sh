# shellcheck shell=bash
# What both scripts share: reporting, parameters, the lock, cloud-init, free space, facts.
# The caller sets `kind` before it reads this file. scripts/generate.py puts it in the place of the `source` line.

# Empty on an instance. Tests set it, so that the script works on a scratch directory instead of `/`.
readonly ROOT=${AMI_LIFECYCLE_ROOT:-}
readonly RUN=$ROOT/run/ami-lifecycle
readonly LOG=$RUN/${kind:?}-$$.log
readonly CLOUD_INIT_TIMEOUT_SECONDS=900

# The agent's environment is not a login's: no HOME, and not every directory in PATH. In a scratch directory PATH decides
# what is installed.
[[ -n $ROOT ]] || export PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
export LC_ALL=C
export HOME=$RUN/home
# Credentials of the registry live in /run only, a tmpfs that no snapshot sees.
export DOCKER_CONFIG=$RUN/docker-$$
export AWS_ECR_DISABLE_CACHE=true

umask 077
mkdir -p "$RUN" "$HOME" "$ROOT/run/lock"
# The first line of standard error is reserved for the sentence of `fail`; whatever else commands say goes to the log.
exec 3>&2 2>>"$LOG"

say() { printf '%s\n' "$*"; }

# fail CODE WHAT_HAPPENED WHAT_TO_DO
fail() {
  trap - ERR
  printf 'ami-lifecycle: %s; %s\n' "$2" "$3" >&3
  tail -c 2048 "$LOG" | tr --delete '\200-\377' >&3 || true
  exit "$1"
}

unexpected() {
  # Only the outermost shell reports, so that there is one sentence.
  if ((BASH_SUBSHELL == 0)); then
    fail 1 "line $2 of the $kind script ended with status $1" "read the log lines below, then run the build again"
  fi
  exit "$1"
}

clean_up() {
  rm -rf "$DOCKER_CONFIG" "$HOME/.ecr"
}

set -E
trap 'unexpected $? $LINENO' ERR
trap clean_up EXIT
trap 'fail 1 "the $kind script was told to stop" "run the build again"' HUP INT TERM

# parameter VARIABLE NAME PATTERN [DEFAULT]: take SSM_<NAME> from the environment and check it.
parameter() {
  local source=SSM_$2 value
  if [[ -z ${!source+set} ]]; then
    if (($# < 4)); then
      fail 10 "parameter $2 did not arrive as environment variable $source" \
        "update the SSM Agent of the base image to 3.3.2746.0 or later and run again"
    fi
    value=$4
  else
    value=${!source}
  fi
  [[ $value =~ $3 ]] || fail 10 "parameter $2 does not match $3" "correct the build settings and run again"
  printf -v "$1" '%s' "$value"
}

# decode VARIABLE NAME: replace base64 by its text; `-` becomes empty.
decode() {
  local text=''
  if [[ ${!1} != - ]]; then
    text=$(printf '%s' "${!1}" | base64 --decode 2>/dev/null) || fail 10 "parameter $2 is not base64" "encode it in one line and run again"
  fi
  printf -v "$1" '%s' "$text"
}

take_lock() {
  exec 9>"$ROOT/run/lock/ami-lifecycle.lock"
  flock --wait 3600 9 || fail 11 "another run has held the lock for an hour" "see what it waits for, then run again"
}

# cloud-init sets up network, host keys and user data; packages and clean-up must not race with it.
wait_for_cloud_init() {
  local status=0
  # After our own clean-up cloud-init has no status to wait for.
  [[ ! -e $RUN/cloud-init-done ]] || return 0
  command -v cloud-init >/dev/null ||
    fail 12 "the base image has no cloud-init" "name a base that has it"
  timeout "$CLOUD_INIT_TIMEOUT_SECONDS" cloud-init status --wait >>"$LOG" 2>&1 || status=$?
  case $status in
    0) ;;
    2) say "cloud-init ended with recoverable errors" ;; # since 23.4: cloud-init documentation, "Return codes"
    124) fail 12 "cloud-init did not end in $CLOUD_INIT_TIMEOUT_SECONDS seconds" "look at the instance's console output" ;;
    *) fail 12 "cloud-init ended with an error" "look at the instance's console output and at its user data" ;;
  esac
  touch "$RUN/cloud-init-done"
}

# Where Docker keeps images, and in which of its stores. `graph-driver` has their layers unpacked, below Docker's data-root;
# `containerd`, the default of a new Docker since 29.0, has them compressed and unpacked, below containerd's own root
# (Docker documentation, "containerd image store"; moby, daemon/containerd/service.go, LayerStoreStatus).
export image_store=graph-driver image_directory=/var/lib/docker
find_store() {
  # Systems Manager would take two braces for a parameter of the document.
  local found brace='{'
  found=$(python3 - "$ROOT" "$(docker info --format "{${brace}json .}}" 2>>"$LOG")" "$(timeout 20 containerd config dump 2>>"$LOG")" <<'PYTHON'
# program: documents/programs/image_store.py
PYTHON
  )
  image_store=${found%%$'\n'*} image_directory=${found#*$'\n'}
}

# Bytes free where Docker keeps images.
free_bytes() {
  mkdir -p "$ROOT$image_directory"
  df --output=avail --block-size=1 "$ROOT$image_directory" | tail -n 1 | tr -d ' '
}

wait_for_docker() {
  local attempt
  for ((attempt = 0; attempt < 30; attempt++)); do
    if docker info >/dev/null 2>>"$LOG"; then return 0; fi
    sleep 2
  done
  fail 18 "the Docker daemon does not answer" "look at its journal below, or at the base image"
}

instance_id() {
  cat "$ROOT/var/lib/cloud/data/instance-id" 2>/dev/null || true
}

# check_image FILE REFERENCE: the output of `docker image inspect` in FILE must describe the image asked for.
check_image() {
  local finding
  finding=$(python3 - "$1" "$2" "$(uname -m)" <<'PYTHON'
# program: documents/programs/unusable_image.py
PYTHON
  )
  [[ -z $finding ]] || fail 17 "$finding" "push an image for this platform and digest, or change the instance type"
}

# run_hooks STAGE: the user's own scripts. They hold no lock of ours and read nothing of this script's input.
run_hooks() {
  local finding
  [[ ${hooks:?} != - ]] || return 0
  exec 4>&1
  finding=$(python3 - "$1" "$RUN" "$kind" 4 <<'PYTHON'
# program: documents/programs/run_hooks.py
PYTHON
  )
  exec 4>&-
  [[ -z $finding ]] && return 0
  cat "$RUN/$kind-hook.log" >"$LOG" 2>/dev/null || true
  fail 26 "$finding" "read its last lines below, correct the hook and deploy it; the sweep builds again then"
}

# print_facts OWN_FACTS NAME=SECONDS...: the last line of standard output, with $RUN/image.json as the image.
print_facts() {
  python3 - "$kind" "$RUN/image.json" "$ROOT/etc/os-release" "$(docker --version)" "$(free_bytes)" "$@" <<'PYTHON'
# program: documents/programs/facts.py
PYTHON
}
