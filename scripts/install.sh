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
apt_update() {
  [ -z "$apt_updated" ] || return 0
  say "fetching apt's lists of packages"
  as_root apt-get update -qq || { say "apt-get update failed: see its message above"; exit 1; }
  apt_updated=1
}

apt_install() {
  apt_update
  say "installing with apt: $*"
  local gone
  gone="$(apt-get -s -qq install --no-install-recommends "$@" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p' | xargs)"
  [ -z "$gone" ] || say "they replace these packages, which are removed: $gone"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null \
    || { say "apt could not install $*: see its message above"; exit 1; }
}

installed() { [ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null)" = "install ok installed" ]; }

apt_need() {
  local missing=()
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# The version that apt would install now, as far as it is digits; nothing for a package that it does not know.
apt_version() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9][0-9.]*\).*/\1/p'; }

# Whether version $1 is at least $2.
at_least() { [ -n "$1" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

rust_wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")"

rust_version() { "$1" --version 2>/dev/null | awk '{ print $2 }'; }

rust_fits() {
  hash -r
  at_least "$(rust_version cargo)" "$rust_wanted" && at_least "$(rust_version rustc)" "$rust_wanted"
}

through_rustup() {
  say "installing Rust's stable toolchain with rustup"
  rustup toolchain install stable --profile minimal && rustup default stable \
    || { say "rustup could not install the toolchain: see its message above"; exit 1; }
}

name_rustup() {
  say "install Rust with its own installer, then repeat this:"
  say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
  exit 1
}

# In this order: what is there and new enough, rustup (there, or a package), Debian's compiler for its web browsers.
need_rust() {
  [ ! -f "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
  ! rust_fits || return 0
  local found; found="$(rust_version cargo || true)"
  say "graft needs Rust $rust_wanted or newer; found: ${found:-none}"
  if ! command -v rustup >/dev/null; then
    apt_update
    if [ -n "$(apt_version rustup)" ]; then apt_install rustup
    elif at_least "$(apt_version rustc-web)" "$rust_wanted" && at_least "$(apt_version cargo-web)" "$rust_wanted"; then
      apt_install rustc-web cargo-web
    else
      say "apt has neither rustup nor a compiler that is new enough"
      name_rustup
    fi
  fi
  ! command -v rustup >/dev/null || through_rustup
  rust_fits && { say "using $(cargo --version)"; return 0; }
  say "\`cargo\` is $(command -v cargo), version $(rust_version cargo): remove it, or put a newer one before it in PATH"
  exit 1
}

# pip_need INTERPRETER MODULE PACKAGE CONSEQUENCE: optional, so a failure is told and is no error.
pip_need() {
  ! "$1" -c "import $2" 2>/dev/null || return 0
  "$1" -m pip --version >/dev/null 2>&1 || apt_need python3 python3-pip
  say "installing with pip for $1: $3"
  "$1" -m pip install -q --break-system-packages "$3" 2>/dev/null || "$1" -m pip install -q "$3" \
    || say "$3 is not to be had here: $4"
}

# What the page's build and its tests in a browser need: optional, so a failure is told and is no error; the tests that are
# left out then are listed by `make test`.
need_web() {
  local folder here; here="$(dirname "$0")"
  [ -n "$("$here/web-missing.sh")" ] || return 0
  if ! at_least "$(node --version 2>/dev/null | tr -d v)" 18 || ! command -v npm >/dev/null; then
    apt_update
    if at_least "$(apt_version nodejs)" 18; then
      (apt_need nodejs npm) || say "node is not to be had here: the tests of the page will be skipped"
    else
      say "apt has no node of version 18 or newer, and none is in PATH: the tests of the page will be skipped"
    fi
  fi
  [ -z "$("$here/web-missing.sh" browser)" ] || {
    (apt_need chromium) || say "chromium is not to be had here: the tests of the page in a browser will be skipped"
  }
  command -v npm >/dev/null || return 0
  for folder in crates/page/web tests/web; do
    say "installing with npm, from the lock file: $folder"
    # npm does not look at the system's list of authorities by itself.
    (cd "$here/../$folder" && NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" npm ci --no-audit --no-fund --silent) \
      || say "the packages of $folder are not to be had here: the tests of the page will be skipped"
  done
}

cargo_need() {
  command -v "$1" >/dev/null || { say "installing with cargo: $1"; cargo install -q "$1" --version "$2" --locked; }
}

for what in "$@"; do
  case "$what" in
    # rustup and cargo check certificates; gcc builds SQLite and tract's kernels; libclang reads the V4L2 headers.
    build)
      apt_need ca-certificates
      need_rust
      command -v cc >/dev/null || apt_need gcc libc6-dev
      apt_need libclang-dev ;;
    # Format and clippy: rustup's components.
    lint)
      cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || {
        if command -v rustup >/dev/null; then
          say "adding with rustup: clippy rustfmt"
          rustup component add clippy rustfmt
        else
          say "Debian's compiler for its browsers comes without clippy and rustfmt: format and lints will be skipped"
        fi
      } ;;
    mosquitto)
      PATH="$PATH:/usr/sbin" command -v mosquitto >/dev/null || {
        apt_install mosquitto
        # The package starts a service of its own; graft brings up its own broker on loopback.
        [ -d /run/systemd/system ] && as_root systemctl disable --now mosquitto >/dev/null 2>&1 || true
      } ;;
    # The reference that exported files are compared with; `make test` lists what was not compared.
    onnxruntime) pip_need python3 onnxruntime onnxruntime "the comparison with it will be skipped" ;;
    # The peer of `lab bench head`, which says when it goes without.
    scikit-learn) pip_need python3 sklearn scikit-learn "its rows will be left out" ;;
    # An S3-compatible server for the test of the host's store in a bucket; `make test` lists it where it is left out.
    moto)
      pip_need "${GRAFT_MOTO_PYTHON:-python3}" moto.server 'moto[server]' "the test of a store in a bucket will be skipped" ;;
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
      pip_need /usr/bin/python3 onnxruntime onnxruntime "the comparison with it will be skipped" ;;
    # node and npm for the page, a browser for its tests.
    web) need_web ;;
    cargo-fuzz) command -v cargo-fuzz >/dev/null || { say "installing with cargo: cargo-fuzz"; apt_need g++; cargo install -q cargo-fuzz --locked; } ;;
    *) say "unknown: $what"; exit 2 ;;
  esac
done
