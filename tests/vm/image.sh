#!/usr/bin/env bash
# Builds a Debian that qemu can boot, and keeps it: image.sh amd64|arm64 FOLDER. Needs root, and for another
# architecture than the machine's own a way to run its programs (binfmt_misc). Built anew when this file changes.
# FOLDER gets kernel, initrd and disk (ext4, meant to be copied before each use).
set -euo pipefail
arch="$1"; mkdir -p "$2"; folder="$(realpath "$2")"
recipe="$(sha256sum <"$0")"
[ "$(cat "$folder/recipe" 2>/dev/null)" != "$recipe" ] || exit 0
rm -f "$folder/recipe"
root="$(mktemp -d "$folder/root.XXXX")"
trap 'rm -rf --one-file-system "$root"' EXIT

packages=systemd,systemd-sysv,udev,kmod,iproute2,procps,psmisc,ca-certificates,openssl,python3
packages+=,v4l-utils,mosquitto,mosquitto-clients,initramfs-tools,"linux-image-$arch"
# Only what the virtual disk needs goes into the initrd; documents and drivers of real hardware stay out.
hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
  echo MODULES=list >"$1/etc/initramfs-tools/conf.d/graft"
  printf "%s\n" virtio_pci virtio_blk ext4 >"$1/usr/share/initramfs-tools/modules.d/graft"'
leave_out=()
for path in /usr/share/{doc,man,locale}/\* /lib/modules/\*/kernel/{sound,drivers/{gpu,infiniband,isdn,scsi,staging,usb,ata,iio,hwmon,md}}/\* \
  /lib/modules/\*/kernel/drivers/net/{ethernet,wireless,can,usb}/\* /lib/modules/\*/kernel/drivers/media/{dvb-\*,pci,usb,tuners}/\*; do
  leave_out+=("--dpkgopt=path-exclude=$path")
done
# From wherever this machine has its own packages.
mmdebstrap --quiet --mode=root --architectures="$arch" --variant=minbase --include="$packages" --essential-hook="$hook" \
  --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io "${leave_out[@]}" \
  bookworm "$root" "${APT_SOURCES:-/etc/apt/sources.list.d/debian.sources}"

cp "$root"/boot/vmlinuz-* "$folder/kernel"
cp "$root"/boot/initrd.img-* "$folder/initrd"
rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
echo edge >"$root/etc/hostname"
echo '127.0.0.1 localhost edge' >"$root/etc/hosts"
: >"$root/etc/machine-id"
# What is tested comes and goes by the shared folder; its script `run` is started, and the machine is switched off after it.
mkdir "$root/host"
cat >"$root/etc/fstab" <<'FSTAB'
/dev/vda / ext4 noatime 0 0
host /host 9p trans=virtio,version=9p2000.L,msize=262144 0 0
FSTAB
cat >"$root/etc/systemd/system/host.service" <<'UNIT'
[Unit]
After=network.target
RequiresMountsFor=/host
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
Environment=HOME=/root
ExecStart=/bin/sh -c 'exec /host/run >>/host/log 2>&1'
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
UNIT
wants="$root/etc/systemd/system/multi-user.target.wants"
ln -s ../host.service "$wants/host.service"
rm -f "$wants/mosquitto.service" "$root"/etc/systemd/system/*.wants/{getty@tty1.service,*.timer}
rm -f "$folder/disk"
truncate -s 1500M "$folder/disk"
mke2fs -q -F -t ext4 -d "$root" "$folder/disk"
echo "$recipe" >"$folder/recipe"
