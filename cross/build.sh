#!/usr/bin/env bash
# Builds graft for 64-bit ARM on Debian 12, without containers: cross/build.sh build|facts|loops|test
# CROSS_PROFILE=dev builds quicker than the usual release.
set -euo pipefail
cd "$(dirname "$0")/.."
. cross/env.sh
profile="${CROSS_PROFILE:-release}"
graft="$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/$([ "$profile" = dev ] && echo debug || echo "$profile")/graft"
tests() { cross_cargo test --locked --profile "$profile" -p graft --features gpio "$@"; }

case "${1:-build}" in
  build) cross_cargo build --locked --profile "$profile" -p graft --features gpio --bin graft ;;
  facts)
    printf 'size      %s bytes\n' "$(stat -c %s "$graft")"
    printf 'glibc     %s\n' "$(aarch64-linux-gnu-objdump -T "$graft" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)"
    printf 'libraries %s\n' "$(aarch64-linux-gnu-objdump -p "$graft" | awk '/NEEDED/ {print $2}' | xargs)"
    printf 'version   %s\n' "$(qemu-aarch64 "$graft" --version)"
    ;;
  loops) cross/loops.py "$graft" ;;
  # What emulation can show: NEON vectors and both sets of kernels on them, what is pure, the store, the wire, and the whole job by the real
  # daemon on a real broker, with the tiny backbone: labels, a round, the head published, a power cut.
  test)
    # Real networks and their embeddings, where they lie beside the repository, are for machines that are not emulated.
    export GRAFT_SHARED="${GRAFT_SHARED:-none}"
    # Neither do the tools that look into a process know an emulated one, nor is Python's onnxruntime the board's.
    export GRAFT_ALLOW_SKIP="${GRAFT_ALLOW_SKIP:+$GRAFT_ALLOW_SKIP,}shared,strace,ptrace"
    cross_cargo test --locked --profile "$profile" --lib \
      -p graft-simd -p graft-kernels -p graft-learn -p graft-control -p graft-wire -p graft-store -p graft-backbone
    tests --test graft -- service:: --test-threads 1
    ;;
  *) echo "cross/build.sh build|facts|loops|test" >&2; exit 2 ;;
esac
