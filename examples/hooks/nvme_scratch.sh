#!/bin/bash
# Hook for `provision_after`: at each boot, formats the first instance store disk and mounts it on MOUNT, before the
# application starts. Where an instance has none, MOUNT stays a directory of the root volume.
set -euo pipefail
: "${MOUNT:?set parameters.MOUNT to a directory, as /scratch}"
cat >/usr/local/sbin/mount-scratch <<'SCRIPT'
#!/bin/bash
set -euo pipefail
mkdir -p "$1"
mountpoint --quiet "$1" && exit 0
disk=$(find /dev/disk/by-id -name 'nvme-Amazon_EC2_NVMe_Instance_Storage_*' ! -name '*-ns-*' | sort | head -n 1)
[[ -n $disk ]] || exit 0
# Without its data after each stop, so a file system of an earlier life is none to keep.
mkfs.ext4 -q -F -E nodiscard "$disk"
mount -o noatime,discard "$disk" "$1"
SCRIPT
chmod 0755 /usr/local/sbin/mount-scratch
cat >/etc/systemd/system/scratch.service <<UNIT
[Unit]
Description=Scratch disk on $MOUNT
Before=$AMI_LIFECYCLE_APPLICATION.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/mount-scratch $MOUNT

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable scratch.service
