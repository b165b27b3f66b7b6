#!/usr/bin/env bash
# Makes the Debian package; prints its path. DEB_PROFILE=dev takes the binary of everyday builds.
# DEB_TARGET=aarch64-unknown-linux-gnu makes that for 64-bit ARM (scripts/install.sh aarch64).
set -euo pipefail
cd "$(dirname "$0")/.."
profile="${DEB_PROFILE:-release}"
package=target/package
folder="$([ "$profile" = dev ] && echo debug || echo "$profile")"
arguments=(--locked --profile "$profile" -p graft --features gpio --bin graft)

# `cargo auditable` writes the list of crates into the binary, where `cargo audit bin` finds it.
if [ -n "${DEB_TARGET:-}" ]; then
  target="$DEB_TARGET"
  (. cross/env.sh && cross_cargo auditable build "${arguments[@]}")
  export CARGO_TARGET_DIR="${GRAFT_CROSS_TARGET:-target-aarch64}"
  graft() { qemu-aarch64 "$CARGO_TARGET_DIR/$target/$folder/graft" "$@"; }
else
  target="$(rustc -vV | sed -n 's/^host: //p')"
  cargo auditable build "${arguments[@]}"
  graft() { "target/$folder/graft" "$@"; }
fi

rm -rf "$package/man" && mkdir -p "$package/man"
graft man --quiet --out "$package/man"
graft completions bash >"$package/graft.bash"
graft completions zsh >"$package/_graft"
graft completions fish >"$package/graft.fish"
scripts/licences.py "$target" >"$package/licences.txt"
{
  cat LICENSE-MIT
  printf '\nOr, as you like, the Apache License, version 2.0: /usr/share/common-licenses/Apache-2.0\n'
  printf 'The licences of the crates inside are in /usr/share/doc/graft/licences.txt\n'
} >"$package/licence"
version="$(graft --version | cut -d' ' -f2)"
{
  printf 'graft (%s-1) unstable; urgency=medium\n\n' "$version"
  printf '  * The changes are in CHANGELOG.md of the source.\n\n'
  printf ' -- The graft authors <graft-authors@lists.invalid>  %s\n' "$(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}")"
} >"$package/changelog"
# What it strips is the symbols; the profile of releases leaves them for `cross/build.sh loops`.
cargo deb --strip --no-build --profile "$profile" ${DEB_TARGET:+--target "$target"} --output target/debian/
