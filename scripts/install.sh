#!/usr/bin/env bash
# Installs what is named and missing, and says so. Usage: scripts/install.sh build mosquitto …
set -euo pipefail

say() { printf '\033[1mgraft:\033[0m %s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else say "please run as root: $*"; exit 1
  fi
}

apt_updated=
apt_install() {
  say "installing with apt: $*"
  if [ -z "$apt_updated" ]; then as_root apt-get update -qq; apt_updated=1; fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

installed() { [ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null)" = "install ok installed" ]; }

apt_need() {
  local missing=()
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

need_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  command -v cargo >/dev/null && return
  say "installing Rust's stable toolchain through rustup"
  command -v rustup >/dev/null || apt_install rustup
  rustup default stable
}

cargo_need() {
  command -v "$1" >/dev/null || { say "installing with cargo: $1"; cargo install -q "$1" --version "$2" --locked; }
}

for what in "$@"; do
  case "$what" in
    # gcc builds SQLite and tract's kernels; libclang reads the V4L2 headers.
    build) need_rust; command -v cc >/dev/null || apt_need gcc libc6-dev; apt_need libclang-dev ;;
    mosquitto)
      PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null || {
        apt_install mosquitto
        # The package starts a service of its own; graft brings up its own broker on loopback.
        [ -d /run/systemd/system ] && as_root systemctl disable --now mosquitto >/dev/null 2>&1 || true
      } ;;
    # The reference that exported files are compared with; `make test` lists what was not compared.
    onnxruntime)
      python3 -c 'import onnxruntime' 2>/dev/null || {
        say "installing with pip: onnxruntime"
        python3 -m pip install -q --break-system-packages onnxruntime 2>/dev/null \
          || python3 -m pip install -q onnxruntime \
          || say "onnxruntime is not to be had here: the comparison with it will be skipped"
      } ;;
    # The peer of `lab bench head`, which says when it goes without.
    scikit-learn)
      python3 -c 'import sklearn' 2>/dev/null || {
        say "installing with pip: scikit-learn"
        python3 -m pip install -q --break-system-packages scikit-learn 2>/dev/null \
          || python3 -m pip install -q scikit-learn \
          || say "scikit-learn is not to be had here: its rows will be left out"
      } ;;
    # An S3-compatible server for the test of the host's store in a bucket; `make test` lists it where it is left out.
    moto)
      "${GRAFT_MOTO_PYTHON:-python3}" -c 'import moto.server' 2>/dev/null || {
        say "installing with pip: moto[server]"
        python3 -m pip install -q --break-system-packages 'moto[server]' 2>/dev/null \
          || python3 -m pip install -q 'moto[server]' \
          || say "moto is not to be had here: the test of a store in a bucket will be skipped"
      } ;;
    # Debian's own compiler for ARM, beside rustup's.
    aarch64)
      dpkg --print-foreign-architectures | grep -qx arm64 || { as_root dpkg --add-architecture arm64; apt_updated=; }
      apt_need rustc-web cargo-web libstd-rust-web-dev libstd-rust-web-dev:arm64 crossbuild-essential-arm64 \
        libclang-dev qemu-user ;;
    # A virtual machine of Debian: its image, its kernel, its emulator.
    vm) apt_need qemu-system-x86 mmdebstrap e2fsprogs cpio kmod zstd ;;
    # The same for 64-bit ARM: an emulator of the board, and one of its programs while its image is made.
    vm-arm64) apt_need qemu-system-arm ipxe-qemu qemu-user-static arch-test ;;
    # Makes the certificates of the tests of TLS.
    openssl) command -v openssl >/dev/null || apt_need openssl ;;
    # Makes the disk fail in the tests of the store.
    strace) command -v strace >/dev/null || apt_need strace ;;
    # Only to look at the unit.
    systemd) command -v systemd-analyze >/dev/null || apt_need systemd ;;
    deb)
      apt_need lintian binutils
      cargo_need cargo-deb 3.8.0; cargo_need cargo-auditable 0.7.7 ;;
    sbom) cargo_need cargo-cyclonedx 0.5.9 ;;
    torch) apt_need python3-torch python3-onnx python3-numpy ;;
    # The fine-tuning engine and its tests, on Debian's own Python.
    trainer)
      apt_need python3-torch python3-onnx python3-numpy python3-pil python3-matplotlib python3-pytest python3-pip
      /usr/bin/python3 -c 'import onnxruntime' 2>/dev/null || {
        say "installing with pip for /usr/bin/python3: onnxruntime"
        /usr/bin/python3 -m pip install -q --break-system-packages onnxruntime \
          || say "onnxruntime is not to be had here: the comparison with it will be skipped"
      } ;;
    cargo-fuzz) command -v cargo-fuzz >/dev/null || { say "installing with cargo: cargo-fuzz"; apt_need g++; cargo install -q cargo-fuzz --locked; } ;;
    *) say "unknown: $what"; exit 2 ;;
  esac
done
