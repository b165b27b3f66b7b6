# To be sourced: builds for 64-bit ARM with Debian's own compiler, beside rustup's and without touching it.
# rustup's shims come first on PATH, so Debian's programs are named by their full paths.
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Without -L /usr/aarch64-linux-gnu: the ARM libraries of this system are of another patch level than those, and a
# process that mixes the two stands still at its first thread.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
# The plainest processor of today's boards (Raspberry Pi 4): what it lacks must not be asked for.
export QEMU_CPU="${QEMU_CPU:-cortex-a72}"
# For SQLite, ring and tract's kernels.
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
# The V4L2 bindings are made from the target's headers.
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--sysroot=/usr/aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
# Two compilers in one folder would rebuild everything at each change between them.
export CARGO_TARGET_DIR="${GRAFT_CROSS_TARGET:-target-aarch64}"
export CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
cross_cargo() { /usr/bin/cargo "$@"; }
