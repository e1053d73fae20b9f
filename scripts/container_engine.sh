#!/bin/sh
# Gives a Debian machine with root what `sam local` needs, where neither a Docker daemon nor an image registry
# can be reached: podman behind Docker's API, and an image that stands in for the Lambda base image.
#
#   scripts/container_engine.sh start     install, serve, build the image; again costs seconds
#   scripts/container_engine.sh address   print the value of DOCKER_HOST that reaches it
#   scripts/container_engine.sh stop      stop serving; what is installed stays
#
# The image is Debian's userland with this machine's Python 3.13 and Lambda's runtime client from PyPI. It has
# the name of the public image, so `sam` must be told not to pull: --skip-pull-image.
set -eu

state=${AMI_LIFECYCLE_CONTAINERS:-/var/tmp/ami-lifecycle-containers}
socket=$state/podman.sock
pid_file=$state/podman.pid
image=public.ecr.aws/lambda/python:3.13-$(uname -m | sed s/aarch64/arm64/)
here=$(cd "$(dirname "$0")" && pwd)
libraries=ca-certificates,libbz2-1.0,libffi8,liblzma5,libreadline8,libsqlite3-0,libssl3,libuuid1,zlib1g

fail() { echo "container_engine: $*" >&2; exit 1; }

answers() { curl -fsS --max-time 5 --unix-socket "$socket" http://docker/_ping >/dev/null 2>&1; }

install_engine() {
  command -v podman >/dev/null && command -v runc >/dev/null && command -v debootstrap >/dev/null && return
  [ "$(id -u)" = 0 ] || fail "installing podman needs root; run it with sudo, or use any Docker-compatible engine"
  command -v apt-get >/dev/null || fail "only Debian is set up here; start a Docker-compatible engine yourself"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends podman runc netavark aardvark-dns iptables fuse-overlayfs \
    uidmap debootstrap curl >/dev/null
}

# crun wants one kind of cgroups and systemd's manager wants systemd, neither of which a container or a small
# virtual machine must have. Raising limits needs a capability that is often missing there, so they are set low.
write_settings() {
  cat >"$state/containers.conf" <<'SETTINGS'
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
SETTINGS
}

serve() {
  answers && return
  rm -f "$socket"
  # It outlives the directory that this is called from, and cannot start a container where that is gone.
  (cd / && exec setsid podman system service --time=0 "unix://$socket" >"$state/podman.log" 2>&1 </dev/null) &
  echo $! >"$pid_file"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    answers && return
    sleep 1
  done
  fail "podman does not answer; look at $state/podman.log"
}

build_image() {
  podman image exists "$image" && return
  python=$("$here/python_3_13.sh")
  [ -n "$python" ] || fail "this machine has no Python 3.13, which the image is made of; install it with pyenv or uv"
  prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
  root=$state/root
  rm -rf "$root"
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  debootstrap --variant=minbase --include="$libraries" "$release" "$root" \
    >"$state/debootstrap.log" 2>&1 || fail "debootstrap failed; look at $state/debootstrap.log"
  mkdir -p "$root$prefix" "$root/opt" "$root/var/rapid" "$root/var/runtime" "$root/var/task"
  tar -C "$prefix" --exclude=test --exclude=tests --exclude='*.a' --exclude=share -c . | tar -C "$root$prefix" -x
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --requirement "$here/../requirements/runtime.txt" --target "$root/var/runtime"
  # The order of the real image: the function, then layers, then what the runtime brings.
  cat >"$root/var/runtime/bootstrap" <<BOOTSTRAP
#!/bin/sh
export PYTHONPATH=/var/task:/opt/python:/var/runtime
exec $prefix/bin/python3.13 -m awslambdaric "\$_HANDLER"
BOOTSTRAP
  chmod 755 "$root/var/runtime/bootstrap"
  tar -C "$root" -c . | podman import --quiet --change ENV=LAMBDA_TASK_ROOT=/var/task \
    --change ENV=LAMBDA_RUNTIME_DIR=/var/runtime --change WORKDIR=/var/task - "$image" >/dev/null
  rm -rf "$root"
}

mkdir -p "$state"
export CONTAINERS_CONF="$state/containers.conf"
case ${1:-} in
  start)
    install_engine
    write_settings
    serve
    build_image
    echo "ready: export DOCKER_HOST=unix://$socket"
    ;;
  address) echo "unix://$socket" ;;
  stop)
    [ -e "$pid_file" ] || fail "it does not run"
    kill "$(cat "$pid_file")"
    rm -f "$pid_file"
    ;;
  *) fail "use: start, address or stop" ;;
esac
