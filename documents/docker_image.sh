# shellcheck shell=bash
# Part of provision_image.sh: the Docker image that was asked for is here, and no other.

readonly PULL_TIMEOUT_SECONDS=5400
readonly PULL_ATTEMPTS=5
# As in ami_lifecycle/domain/disk_space.py; a test compares them.
readonly EXPECTED_UNPACKED_PERCENT=220 BASE_SYSTEM_GIB=6 LEFT_FREE_GIB=1
readonly MIB=$((1024 * 1024)) GIB=$((1024 * 1024 * 1024))

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
  local containers images volumes id left
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
  # No container is left to use one. Since Docker 23 `docker volume prune` spares those that have names.
  mapfile -t volumes < <(docker volume ls --quiet)
  ((${#volumes[@]} == 0)) || docker volume rm --force "${volumes[@]}" >>"$LOG" 2>&1 || true
}

remove_old_image() {
  stop_application
  remove_other_images none
}

# What the image is expected to take while it is pulled, all layers compressed and all unpacked, decides whether the old
# one goes first; only what it takes for certain refuses it.
make_room() {
  local minimum=$((${minimum_free_gib:?} * GIB)) compressed=${image_size_bytes:?} free expected least wanted
  expected=$((compressed + compressed * EXPECTED_UNPACKED_PERCENT / 100))
  least=$compressed
  [[ ${image_store:?} == graph-driver ]] || least=$((compressed * 2))
  wanted=$((expected > minimum ? expected : minimum))
  free=$(free_bytes)
  if ((free < wanted)) && [[ ${mode:?} == update ]]; then
    say "$((free / MIB)) MiB are free and $((wanted / MIB)) MiB may be needed: removing the old image before the pull"
    remove_old_image
    free=$(free_bytes)
  fi
  ((free >= minimum)) ||
    fail 14 "$((free / MIB)) MiB are free, $minimum_free_gib GiB are needed where ${image_directory:?} is" \
      "raise builder.root_volume_gib in the build settings, or lower builder.minimum_free_gib"
  ((free >= least)) ||
    fail 14 "$((free / MIB)) MiB are free in $image_directory, the image needs at least $((least / MIB)) MiB there" \
      "set builder.root_volume_gib to $(volume_gib "$compressed") or more in the build settings"
}

# volume_gib COMPRESSED_BYTES: the root volume that an image of this size is expected to need.
volume_gib() {
  echo $((BASE_SYSTEM_GIB + LEFT_FREE_GIB + ($1 + $1 * EXPECTED_UNPACKED_PERCENT / 100 + GIB - 1) / GIB))
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

# pull_error FILE: what went wrong, as one word. By what the words of Docker 20.10 to 29 and containerd say, the more telling
# first; what names the image is taken out before, because any of these words may stand in a repository's name.
# moby: distribution/errors.go, daemon/containerd/image_pull.go and registry_errors.go; containerd: core/remotes/docker,
# core/unpack, core/images.
pull_error() {
  local text name=${image_uri#*/}
  text=$(tail -c 4096 "$1")
  text=${text//"$image_uri"/IMAGE}
  text=${text//"/v2/$name/"//v2/NAME/}
  text=${text//"'$name'"/NAME}
  text=${text//"repository/$name"/NAME}
  text=${text//"${image_digest:?}"/DIGEST}
  case ${text,,} in
    *"no space left on device"* | *"disk quota exceeded"*) echo disk-full ;;
    *"token has expired"* | *"reauthenticate and try again"*) echo token-expired ;;
    *"missing signature key"* | *"tar+zstd"* | *"invalid tar header"* | *"is too old. minimum supported api"* | *"is too new. maximum supported api"*)
      echo docker-too-old ;;
    *"no matching manifest"* | *"no match for platform"* | *"cannot be used on this platform"* | *"does not match the specified platform"* | \
      *"operating system is not supported"* | *"not provide the specified platform"*) echo other-platform ;;
    *"unsupported media type"* | *"unexpected media type"* | *"unknown media type"* | *"encountered remote "* | *"media-type: "* | \
      *"unsupported manifest"* | *"unknown manifest "* | *"schema 1"* | *manifest.v1+*"supported"* | *"match image configuration"* | *"image format v1"* | *"max depth exceeded"* | *"too many layers"* | \
      *"mount options is too long"* | *"invalid rootfs"* | *"mismatched image rootfs"* | *"layers and diffids"* | *"unmarshal image config"* | \
      *"ai models are not"* | *"byte manifest for"* | *"no unpack platforms"*) echo no-image ;;
    *toomanyrequests* | *"too many requests"* | *"rate exceeded"* | *throttl* | *"slow down"* | *slowdown* | *"reduce your request rate"*) echo throttled ;;
    *starport*"403 forbidden"* | *.s3[.-]*"403 forbidden"* | *"s3.amazonaws.com"*"403 forbidden"* | *cloudfront.net*"403 forbidden"* | \
      *"<?xml"*denied* | *"<?xml"*expired* | *"<error>"*denied* | *"<error>"*expired*) echo layer-refused ;;
    *"docker.sock"*"permission denied"* | *"permission denied"*"docker.sock"* | *"permission denied while trying to connect"*) echo local-error ;;
    *"cannot connect to the docker daemon"* | *"is the docker daemon running"* | *"error during connect"* | *"docker.sock"* | *"containerd.sock"* | \
      *"transport is closing"* | *"error reading from server"*) echo daemon-lost ;;
    *"permission denied"* | *"operation not permitted"* | *"read-only file system"* | *"input/output error"* | *"structure needs cleaning"* | \
      *"no such device"*) echo local-error ;;
    *"no basic auth credentials"* | *unauthorized* | *"not authorized"* | *"authentication required"* | *"authorization failed"* | \
      *"may require authorization"* | *"may require 'docker login'"* | *"missing username or secret"* | \
      *"access to the resource is denied"* | *"access denied"* | *"denied: "* | *"403 forbidden"*) echo denied ;;
    *timeout* | *"timed out"* | *"deadline exceeded"* | *"connection re"* | *"no such host"* | *"name resolution"* | *"server misbehaving"* | \
      *"network is unreachable"* | *"no route to host"* | *"dial tcp"* | *"tls: "* | *x509* | *proxyconnect* | *"internal server error"* | \
      *"bad gateway"* | *"service unavailable"* | *"gateway time"*) echo network ;;
    *snapshot*"not found"* | *"lease "*"not found"* | *snapshot*"does not exist"* | *"content digest"*"not found"* | *"failed to register layer"* | *"failed to extract layer"* | \
      *"extraction snapshot"* | *"failed to commit snapshot"* | *"failed to mount"*) echo not-unpacked ;;
    *"manifest unknown"* | *"name unknown"* | *"blob unknown"* | *"manifest for "*"not found"* | *repository*"not found"* | *repository*"does not exist"* | \
      *": not found"* | *"404 not found"*) echo missing ;;
    *eof* | *"short read"* | *"broken pipe"* | *"unexpected status"*" 5"*) echo network ;;
    *) echo unknown ;;
  esac
}

# What no further attempt changes is said at once; `words` is what Docker said.
stop_at_final_error() {
  local error=$1 words=$2 volume="a larger number"
  ((image_size_bytes == 0)) || volume="$(volume_gib "$image_size_bytes") or more"
  case $error in
    disk-full) fail 14 "the disk became full during the pull, where $image_directory is" "set builder.root_volume_gib to $volume in the build settings" ;;
    denied) fail 15 "the registry refused the pull of $image_uri" \
      "check the builder's instance profile (ecr:BatchGetImage, ecr:GetDownloadUrlForLayer) and the repository's policy" ;;
    missing) fail 16 "$reference is not in the registry" "push the image again, or find out which lifecycle policy expired it" ;;
    other-platform) fail 17 "$reference has no variant for $(uname -m); this instance needs $(platform)" "push one, or change the instance type" ;;
    no-image) fail 17 "$reference is not an image that Docker can run: $words" "push another image; charts, signatures and other artifacts are none" ;;
    local-error) fail 24 "Docker on the builder could not store the image: $words" "look at the base image and its disks" ;;
    docker-too-old) fail 25 "the builder's Docker does not understand the image: $words" \
      "ask for a fresh build, which installs a current Docker, or push the image with gzip layers" ;;
  esac
}

# What may pass, and did not in so many attempts.
fail_after_attempts() {
  local error=$1 times="in $2 attempts" words=$3
  case $error in
    daemon-lost) fail 18 "the Docker daemon did not answer during the pull $times: $words" "look at its journal, or at the base image" ;;
    layer-refused) fail 22 "the download of a layer of $reference was refused $times, not by ECR but by the storage behind it" \
      "check the policy of the subnet's S3 endpoint (ECR user guide, \"VPC endpoints\") and the builder's clock" ;;
    throttled) fail 23 "the registry throttled the pull of $reference $times" "build again later, or have the registry's quota raised" ;;
    not-unpacked) fail 24 "Docker on the builder could not unpack the image $times: $words" "read the log lines below; push the image again, or look at the base image" ;;
    network) fail 16 "$reference could not be pulled $times" "check the subnet's way to the registry and to S3, then run again" ;;
    *) fail 16 "$reference could not be pulled $times: $words" "read Docker's words below, then run again" ;;
  esac
}

platform() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
  esac
}

pull_image() {
  local attempt=0 old_may_go=$mode left error words started=$SECONDS output=$RUN/pull-$$.log
  if has_image; then
    say "the image is already here"
    return 0
  fi
  make_room
  sign_in
  while ((attempt += 1)); do
    left=$((PULL_TIMEOUT_SECONDS - (SECONDS - started)))
    ((left > 0)) || fail 16 "$reference could not be pulled in $((PULL_TIMEOUT_SECONDS / 60)) minutes" "look at what slows the way to the registry and to S3"
    say "pulling $reference, attempt $attempt"
    # Complete layers are kept for the next attempt by graph drivers, and by containerd if the pull was killed.
    if timeout --kill-after=30 "$left" docker pull --quiet "$reference" >"$output" 2>&1; then
      has_image || fail 17 "the registry delivered another image than $reference" "push the image again"
      return 0
    fi
    # Addresses of layers are signed: whoever reads one could use it for an hour.
    sed --in-place --regexp-extended 's/\?[^" ]*(X-Amz-|Signature=)[^" ]*/?[signed]/g' "$output"
    cat "$output" >>"$LOG"
    error=$(pull_error "$output")
    words=$(tail -n 1 "$output" | tr --delete '\000-\037\177-\377' | tail -c 300)
    words=${words#Error response from daemon: }
    if [[ $error == disk-full && $old_may_go == update ]]; then
      say "the disk became full: removing the old image"
      old_may_go=''
      remove_old_image
      continue
    fi
    stop_at_final_error "$error" "$words"
    ((attempt < PULL_ATTEMPTS)) || fail_after_attempts "$error" "$attempt" "$words"
    case $error in
      throttled) sleep $((15 << (attempt - 1))) ;;
      daemon-lost) sleep 5 && wait_for_docker ;;
      *) sleep $((5 << (attempt - 1))) ;;
    esac
  done
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
# program: documents/programs/image_field.py
' "$RUN/image.json" "$1"
}
