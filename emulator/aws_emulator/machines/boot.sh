#!/usr/bin/env bash
# Become the first process of a machine: runs in new mount, UTS, IPC, PID and cgroup namespaces, with the machine's
# disk mounted on $1. The machine sees its own processes, network and cgroups. Of the host it shares the kernel.
set -euo pipefail
root=$1 name=$2

hostname "$name"
mount --make-rprivate /
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# Kernel settings are the host's, but those of the network belong to the machine's own namespace.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
[[ ! -e $root/proc/sysrq-trigger ]] || mount --bind /dev/null "$root/proc/sysrq-trigger"
# Read-only, so that udev does not touch the host's devices (systemd.io/CONTAINER_INTERFACE).
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o nosuid,mode=755,size=1m tmpfs "$root/dev"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "console 1 3"; do
  read -r node major minor <<<"$device"
  mknod -m 666 "$root/dev/$node" c "$major" "$minor"
done
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
mkdir "$root/run/lock"

cd "$root"
pivot_root . .
umount --lazy .
exec env -i container=ami-lifecycle PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
