#!/usr/bin/env bash
# Builds graft for 64-bit ARM on Debian 12, without containers: cross/build.sh build|test|facts
# CROSS_PROFILE=dev builds quicker than the usual release.
set -euo pipefail
cd "$(dirname "$0")/.."
. cross/env.sh
profile="${CROSS_PROFILE:-release}"
folder="$CARGO_TARGET_DIR/aarch64-unknown-linux-gnu/$([ "$profile" = dev ] && echo debug || echo "$profile")"

case "${1:-build}" in
  build) cross_cargo build --locked --profile "$profile" --features gpio --bin graft ;;
  # What emulation can show: the pure rooms with their NEON kernels, the store, and a whole round by `graft demo`.
  test)
    cross_cargo test --locked --profile "$profile" --lib -- learn:: control:: wire:: store:: backbone::preprocess
    qemu-aarch64 "$folder/graft" demo --quiet
    ;;
  facts)
    file="$folder/graft"
    printf 'size      %s bytes\n' "$(stat -c %s "$file")"
    printf 'glibc     %s\n' "$(aarch64-linux-gnu-objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)"
    printf 'libraries %s\n' "$(aarch64-linux-gnu-objdump -p "$file" | awk '/NEEDED/ {print $2}' | xargs)"
    printf 'version   %s\n' "$(qemu-aarch64 "$file" --version)"
    ;;
  *) echo "cross/build.sh build|test|facts" >&2; exit 2 ;;
esac
