#!/usr/bin/env bash
# The package in a virtual machine: real systemd, a real camera driver (vivid), a real broker. Prints one line for each
# scenario and fails if one fails. Usage: run.sh [PART…]; without a part, all of them, in the order of their boots. Needs root.
# ARCH=amd64|arm64, DEB=file.deb, SOAK=minutes (part soak), ONLY=pattern of names.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch="${ARCH:-amd64}"
work="target/vm/$arch"
deb="${DEB:-$(ls -t target/debian/graft_*_"$arch".deb | head -1)}"
parts=("$@")
[ $# != 0 ] || parts=(live reboot cut)

tests/vm/image.sh "$arch" "$work"
share="$work/share"
rm -rf "$share"; mkdir -p "$share"
cp -r tests/vm/guest "$share/"
cp "$deb" "$share/graft.deb"
cp models/tiny.onnx models/tiny.toml "$share/"
printf '#!/bin/sh\nexec python3 -B /host/guest/main.py "$(cat /host/part)"\n' >"$share/run"; chmod +x "$share/run"
: >"$share/results"
echo "${SOAK:-30}" >"$share/soak"
echo "${ONLY:-}" >"$share/only"
cp --sparse=always "$work/disk" "$work/disk.now"
machine=()
case "$arch" in
  # Emulated, an older processor is the faster one: fused multiply-add in eight lanes costs several times what it saves.
  amd64) machine=(qemu-system-x86_64 -machine q35); console=ttyS0
    if grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then machine+=(-cpu max -accel kvm)
    else machine+=(-cpu Nehalem -accel tcg,thread=multi); fi ;;
  arm64) machine=(qemu-system-aarch64 -machine virt -cpu cortex-a76 -accel tcg,thread=multi); console=ttyAMA0 ;;
esac

# Boots, waits until the part is over; `cut` is the guest's wish that its power goes, and it goes.
boot() {
  echo "$1" >"$share/part"; rm -f "$share/cut"
  "${machine[@]}" -smp 2 -m 1024 -display none -monitor none -no-reboot -serial "file:$work/console.$1" \
    -append "root=/dev/vda rw console=$console quiet panic=-1 mitigations=off systemd.show_status=false" \
    -kernel "$work/kernel" -initrd "$work/initrd" \
    -drive "file=$work/disk.now,format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk \
    -fsdev "local,id=host,path=$share,security_model=none" -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -nic none -device virtio-rng-pci &
  local machine_pid=$! begun=$SECONDS limit=$(($2))
  while kill -0 "$machine_pid" 2>/dev/null; do
    if [ -e "$share/cut" ]; then kill -9 "$machine_pid"; break; fi
    if [ $((SECONDS - begun)) -gt "$limit" ]; then
      echo "FAIL|$1|the machine did not come to its end within $limit s" >>"$share/results"; kill -9 "$machine_pid"; break
    fi
    sleep 0.2
  done
  wait "$machine_pid" 2>/dev/null || true
  grep -q "^DONE|$1" "$share/results" || [ -e "$share/cut" ] \
    || echo "FAIL|$1|it ended early, see $share/log and $work/console.$1" >>"$share/results"
}

for part in "${parts[@]}"; do
  case "$part" in soak) boot soak "$((${SOAK:-30} * 60 + 900))" ;; *) boot "$part" 2400 ;; esac
done
rm -f "$work/disk.now"

echo
awk -F'|' '$1 != "DONE" { printf "%-5s %-46s %s\n", $1, $2, $3 }' "$share/results"
awk -F'|' '$1 == "PASS" { good++ } $1 == "FAIL" { bad++ } END { printf "\n%d passed, %d failed\n", good, bad; exit bad > 0 || good == 0 }' "$share/results"
