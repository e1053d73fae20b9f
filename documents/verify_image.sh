#!/usr/bin/env bash
# Prove on a freshly booted canary that its image is what was asked for: the right Docker image and no other, pinned
# by digest in a unit that came up by itself, healthy, and nothing of the builder left behind. Changes nothing.
# Parameters, facts, exit codes: documents/README.md.
set -euo pipefail
kind=verify
# shellcheck source=documents/prelude.sh
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

readonly HEALTH_TIMEOUT_LIMIT_SECONDS=1800
readonly STEADY_SECONDS=10
readonly MAXIMUM_RESTARTS=5
readonly LOOKS_AFTER_RESTARTS=10

# Exported, because the Python parts below read them too.
export image_uri='' image_digest='' region='' application='' environment='' built_for='' run_id=''
export health_check='' health_port='' health_path='' health_command='' health_timeout_seconds='' minimum_free_gib='' hooks='' mode='' package_list=''
read_parameters() {
  parameter image_uri ImageUri '^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$'
  parameter image_digest ImageDigest '^sha256:[0-9a-f]{64}$'
  parameter region Region '^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$'
  parameter application Application '^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$'
  parameter environment Environment '^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$'
  parameter built_for BuiltFor '^(-|[a-z]([a-z0-9-]{0,30}[a-z0-9])?)$' -
  [[ $built_for != - ]] || built_for=$environment
  parameter run_id RunId '^[A-Za-z0-9._-]{1,128}$'
  parameter health_check HealthCheck '^(none|http|command)$' none
  parameter health_port HealthPort '^[0-9]{1,5}$' 80
  parameter health_path HealthPath '^/[A-Za-z0-9._~/?=&%-]{0,200}$' /
  parameter health_command HealthCommand '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter health_timeout_seconds HealthTimeoutSeconds '^[0-9]{1,4}$' 300
  parameter minimum_free_gib MinimumFreeGiB '^[0-9]{1,5}$' 1
  parameter hooks Hooks '^(-|[A-Za-z0-9+/]+={0,2})$' -
  parameter package_list PackageList '^(true|false)$' false
  decode health_command HealthCommand
  ((10#$health_port > 0 && 10#$health_port < 65536)) || fail 10 "HealthPort is $health_port, which is no port" "correct the health check and run again"
  # A leading zero would make the shell read an octal number.
  health_timeout_seconds=$((10#$health_timeout_seconds))
  minimum_free_gib=$((10#$minimum_free_gib))
  ((health_timeout_seconds <= HEALTH_TIMEOUT_LIMIT_SECONDS)) ||
    fail 10 "HealthTimeoutSeconds is above $HEALTH_TIMEOUT_LIMIT_SECONDS" "lower it and run again"
  [[ $health_check != command || -n $health_command ]] ||
    fail 10 "HealthCheck is command, but HealthCommand is empty" "set a health command or another kind of check"
  readonly reference=$image_uri@$image_digest
}

verify_image() {
  local others wanted
  wait_for_docker
  find_store
  docker image inspect "$reference" >"$RUN/image.json" 2>>"$LOG" ||
    fail 17 "$reference is not on the canary" "look at how the image was provisioned"
  check_image "$RUN/image.json" "$reference"
  wanted=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))[0]["Id"])' "$RUN/image.json")
  others=$(docker image ls --all --quiet --no-trunc | sort --unique | grep --invert-match --fixed-strings --line-regexp "$wanted") || true
  [[ -z $others ]] || fail 17 "other images are on the canary: ${others//$'\n'/ }" "look at how the old image was removed"
  image_id=$wanted
}

verify_unit() {
  local state command
  state=$(systemctl is-enabled "$application.service" 2>>"$LOG") || true
  [[ $state == enabled ]] || fail 19 "the unit $application.service is ${state:-absent}, not enabled" "look at how the image was provisioned"
  # What systemd has loaded counts, drop-ins included, and not what the file says.
  command=$(systemctl show --property=ExecStart "$application.service" 2>>"$LOG") || true
  [[ $command == *" $reference "* || $command == *" $reference;"* ]] ||
    fail 19 "the unit $application.service does not start $reference" "look for a drop-in, and at how the image was provisioned"
}

# container_state: "running <epoch seconds of its start>" or a word that says why not.
container_state() {
  docker container inspect "$application" 2>>"$LOG" | python3 -c '
# program: documents/programs/container_state.py
' "$image_id" "$reference"
}

# One look. Leaves the reason of a failure in `reason`.
is_healthy() {
  local state output
  state=$(container_state) || true
  if [[ $state != running* ]]; then
    reason="its container is ${state:-unknown}"
    [[ $state != "not running"* ]] || ended=$state
    return 1
  fi
  container_started=${state#running }
  case $health_check in
    none)
      reason="its container has not stayed up for $STEADY_SECONDS seconds"
      (($(date +%s) - container_started >= STEADY_SECONDS))
      ;;
    http)
      # Without --location a redirect passes: --fail refuses only 400 and above.
      output=$(curl --fail --silent --show-error --output /dev/null --max-time 5 --noproxy '*' \
        "http://127.0.0.1:$health_port$health_path" 2>&1) && return 0
      reason="http://127.0.0.1:$health_port$health_path said: ${output:0:200}"
      return 1
      ;;
    command)
      timeout 60 docker exec "$application" /bin/sh -c "$health_command" >>"$RUN/health-output" 2>&1 && return 0
      reason="its health command ended with status $?"
      return 1
      ;;
  esac
}

# Application logs may hold secrets, and what is printed here is kept by Systems Manager: cut and redact.
# The last rule takes long words that look like keys; it spares absolute paths, which a traceback needs.
container_log() {
  local journal=(journalctl --boot --unit "$application.service" --no-pager --output cat --quiet) reasons
  # Why a value that the container needs could not be fetched: our own words, which hold no value. So they are neither
  # cut nor redacted, and come last, where nothing cuts them off.
  reasons=$("${journal[@]}" --identifier container-values --lines 4 2>&1 | awk '!seen[$0]++' | tail -c 1400) || true
  {
    # Docker's own reason, if it could not start the container.
    "${journal[@]}" --identifier docker --lines 2 2>&1 || true
    # Between two starts there may be no container, and the unit has put its last lines into the journal.
    docker logs --tail 20 "$application" 2>&1 || "${journal[@]}" --identifier "$application" --lines 20 2>&1 || true
    tail -n 5 "$RUN/health-output" 2>/dev/null || true
  } | tr --delete '\000-\010\013-\037\177-\377' | cut --characters=1-240 | sed --regexp-extended \
    -e 's/(AKIA|ASIA)[A-Z0-9]{16}/[redacted]/g' \
    -e 's#([a-z][a-z0-9+.-]*://)[^/@ ]+@#\1[redacted]@#g' \
    -e 's/((authorization|bearer)[^a-z0-9]+).*/\1[redacted]/Ig' \
    -e "s/([a-z0-9_-]*(password|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key)[a-z0-9_-]*[\"']?[ ]*[:=][ ]*).*/\1[redacted]/Ig" \
    -e 's#(^|[^A-Za-z0-9+/_.-])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{31,}={0,2}#\1[redacted]#g' | tail -c $((1800 - ${#reasons}))
  [[ -z $reasons ]] || printf '%s\n' "$reasons"
}

wait_for_health() {
  local restarts state looks=0 deadline=$((SECONDS + health_timeout_seconds))
  : >"$RUN/health-output"
  until is_healthy; do
    restarts=$(systemctl show --property=NRestarts --value "$application.service" 2>>"$LOG") || restarts=0
    # A unit that systemd does not start again: failed, or ended well where that is no reason for another start. Before its
    # first start it is inactive, too.
    state=$(systemctl show --property=ActiveState --value "$application.service" 2>>"$LOG") || state=unknown
    if ((${restarts:-0} >= MAXIMUM_RESTARTS)) || [[ $state == failed || ($state == inactive && -n $ended) ]]; then
      ((looks += 1))
    fi
    # Between two starts the container shows how the application ended; just now it may run again, or be replaced.
    if ((SECONDS >= deadline || looks >= LOOKS_AFTER_RESTARTS)) || { ((looks > 0)) && [[ -n $ended ]]; }; then
      [[ -z $ended || $reason == *"$ended" ]] || reason+="; before that it was $ended"
      container_log >"$LOG"
      fail 21 "$application is not healthy after ${restarts:-0} restarts and $((SECONDS - (deadline - health_timeout_seconds))) seconds: $reason" \
        "read its last log lines below, or raise HealthTimeoutSeconds"
    fi
    sleep 2
  done
}

# How fast the image's files come from the snapshot: EBS loads a block at its first read (EC2 User Guide, "Initialize
# Amazon EBS volumes"). A sample, so that a large image costs a minute and no more. Prints bytes and seconds, or null for both.
first_read() {
  timeout 120 python3 - "$RUN/image.json" "$ROOT$image_directory" <<'PYTHON'
# program: documents/programs/first_read.py
PYTHON
}

# One finding per line; nothing when the image is clean.
find_leftovers() {
  python3 - "$ROOT" "$(instance_id)" <<'PYTHON'
# program: documents/programs/leftovers.py
PYTHON
}

verify_cleanliness() {
  local findings first
  findings=$(find_leftovers)
  if [[ -n $findings ]]; then
    printf '%s\n' "$findings" >"$LOG"
    first=${findings%%$'\n'*}
    fail 20 "$first" "look at what writes it on the base image; all findings are below"
  fi
}

# What is in the image, as the rest of a JSON object; before hooks, which may install what they check with. A list is no reason
# to refuse an image.
list_packages() {
  [[ $package_list == true ]] || return 0
  timeout 300 python3 - "$RUN/image.json" "$ROOT" "$(docker --version)" <<'PYTHON' || printf ',"packages_problem":"its program ended with status %s"' "$?"
# program: documents/programs/package_list.py
PYTHON
}

verify_free_space() {
  local free
  free=$(free_bytes)
  ((free >= minimum_free_gib * 1024 * 1024 * 1024)) ||
    fail 14 "$((free / 1024 / 1024)) MiB are free, $minimum_free_gib GiB are needed" "raise the size of the builder's volume in the build settings"
}

main() {
  local times=() since=0 uptime booted_to_container read_sample own_facts packages
  read_parameters
  take_lock
  lap() {
    times+=("$1=$((SECONDS - since))")
    since=$SECONDS
  }
  wait_for_cloud_init
  lap cloud_init
  verify_image
  verify_unit
  lap image
  say "waiting for $application to be healthy: $health_check"
  wait_for_health
  read -r uptime _ <"$ROOT/proc/uptime"
  booted_to_container=$(awk -v up="$uptime" -v now="$(date +%s)" -v start="$container_started" 'BEGIN { printf "%.1f", up - (now - start) }')
  lap health
  read_sample=$(first_read) || read_sample='null null'
  lap read
  say "looking for what must not be in an image"
  verify_cleanliness
  verify_free_space
  lap cleanliness
  packages=$(list_packages)
  run_hooks verify
  printf -v own_facts '{"health_check":"%s","boot_to_container_seconds":%s,"boot_to_healthy_seconds":%s,"first_read_bytes":%s,"first_read_seconds":%s%s}' \
    "$health_check" "$booted_to_container" "$uptime" "${read_sample% *}" "${read_sample#* }" "$packages"
  print_facts "$own_facts" "${times[@]}" "total=$SECONDS"
}

image_id='' reason='' ended='' container_started=''
main
