# shellcheck shell=bash
# Part of provision_image.sh: the Docker image that was asked for is here, and no other.

readonly PULL_TIMEOUT_SECONDS=5400
readonly PULL_ATTEMPTS=5

is_ecr() { [[ ${image_uri:?} =~ ^[0-9]{12}\.dkr[.-]ecr ]]; }

has_image() {
  docker image inspect "${reference:?}" >"$RUN/image.json" 2>>"$LOG"
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
  local needed=$((${minimum_free_gib:?} * 1024 * 1024 * 1024)) free
  free=$(free_bytes)
  if ((free < needed)) && [[ ${mode:?} == update ]]; then
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
  local registry=${image_uri%%/*} attempt reason
  mkdir -p "$DOCKER_CONFIG"
  is_ecr || return 0
  export AWS_REGION=${region:?}
  printf '{"credHelpers": {"%s": "ecr-login"}}\n' "$registry" >"$DOCKER_CONFIG/config.json"
  for ((attempt = 1; attempt <= PULL_ATTEMPTS; attempt++)); do
    rm -rf "$HOME/.ecr"
    # Not through a pipe: its other end may be closed before it is written to, and the pipeline would have failed.
    if timeout 120 docker-credential-ecr-login get <<<"$registry" 2>>"$LOG" >/dev/null; then return 0; fi
    # The helper says why in a log of its own, and nowhere else.
    reason=$(cat "$HOME"/.ecr/log/* 2>/dev/null | grep --fixed-strings level=error) || true
    printf '%s\n' "$reason" >>"$LOG"
    # The words of both versions of the SDK for Go, which the helper is made with.
    case ${reason,,} in
      *"send request failed"* | *"request send failed"* | *"statuscode: 5"* | *"status code: 5"* | *timeout* | *throttl*) sleep $((attempt * 5)) ;;
      *) fail 15 "the registry $registry did not sign this builder in" "check the builder's instance profile: it needs ecr:GetAuthorizationToken" ;;
    esac
  done
  fail 16 "the registry $registry could not be reached to sign in" "check the subnet's way to ECR, then run again"
}

# Some failures do not pass by waiting: say so at once.
stop_at_permanent_error() {
  local output
  output=$(tail -c 4096 "$1")
  case ${output,,} in
    # The next attempt signs in anew.
    *"token has expired"*) ;;
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
  local name=$image_uri:${image_tag:?} old
  name=${name/%:-/:ami-lifecycle}
  docker tag "$reference" "$name" >>"$LOG" 2>&1 || fail 17 "the image cannot be tagged as $name" "read the log lines below"
  while read -r old; do
    # With containerd's store the list has the image's name by digest, too, and removing that removes all others with it
    # (moby, daemon/containerd/image_inspect.go and image_delete.go).
    [[ -z $old || $old == "$name" || $old == *@* ]] || docker image rm "$old" >>"$LOG" 2>&1 || true
  done < <(image_field RepoTags)
}

# After all that is removed: what was asked for must still be there, whatever removing the rest has done.
require_image() {
  has_image || fail 17 "$reference is not on the builder any more after the clean-up" "read the log lines below"
  check_image "$RUN/image.json" "$reference"
}

# image_field NAME: a field of the inspected image; the items of a list, one in a line.
image_field() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1], encoding="utf-8"))[0].get(sys.argv[2]) or []
print("\n".join(value) if isinstance(value, list) else value)
' "$RUN/image.json" "$1"
}
