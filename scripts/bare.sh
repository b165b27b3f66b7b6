#!/usr/bin/env bash
# Does what `make demo` does before it compiles on minimal systems, in throw-away folders: bare.sh SUITE…
# (bookworm, trixie). Needs root and mmdebstrap; prints one line for each scenario. The packages come from wherever
# this machine has its own.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf --one-file-system "$work"' EXIT
[ "$(id -u)" = 0 ] || { echo "run this as root: it makes systems below $work" >&2; exit 1; }

passed() { printf 'passed  %s: %s\n' "$suite" "$*"; }
failed() { printf 'FAILED  %s: %s\n' "$suite" "$*"; sed 's/^/        /' "$work/log" | tail -n 30; exit 1; }

# A mirror of apt's configuration here: $1 is the archive's folder, debian or debian-security.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E "/$1/?\$" | head -n 1
}

# Runs a command in the system $root; /proc goes with the process.
inside() {
  unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" env -i HOME=/root \
    PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$root" "$@" >"$work/log" 2>&1
}

said() { grep -q "$1" "$work/log"; }

# A new copy of the minimal system with the project in it.
anew() {
  rm -rf --one-file-system "$work/root"
  root="$work/root"
  mkdir "$root"
  tar -C "$root" -xf "$work/$suite.tar"
  mkdir "$root/graft"
  git ls-files -z | tar --null -T - -cf - | tar -C "$root/graft" -xf -
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # What this machine trusts beyond Debian's list, the certificate of a proxy for instance.
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
}

main="$(mirror debian)"
security="$(mirror debian-security)"
[ -n "$main" ] && [ -n "$security" ] || { echo "apt here knows no mirror of Debian and its security updates" >&2; exit 1; }
for suite in "$@"; do
  mmdebstrap --quiet --mode=root --variant=apt --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --include=make "$suite" "$work/$suite.tar" "deb $main $suite main" "deb $main $suite-updates main" \
    "deb $security $suite-security main" >"$work/log" 2>&1 || failed "a minimal system is made"

  anew
  inside make -C /graft deps-build || failed "a minimal system gets what a build needs"
  said 'installing with apt' || failed "it says what it installs"
  inside sh -c 'cd /graft && cargo metadata --locked --offline --no-deps --format-version 1' \
    || failed "its cargo reads the manifest"
  inside sh -c 'cd /graft && cargo fetch --locked && cargo --version && cc --version' \
    || failed "its cargo fetches the dependencies"
  passed "a minimal system gets what a build needs, $(grep -o '^cargo [0-9.]*' "$work/log")"
  inside make -C /graft deps-build || failed "the second time there is nothing to do"
  ! said 'installing' || failed "the second time there is nothing to do"
  passed "the second time there is nothing to do"

  inside sh -c 'cd /graft && scripts/install.sh web && scripts/web-missing.sh' || failed "it gets what the page's tests need"
  ! said '^the packages\|^node\|^npm\|^a browser' || failed "it gets what the page's tests need"
  inside sh -c 'cd /graft/crates/page/web && npm test --silent && node --version' || failed "the page's parts are tested"
  passed "it gets what the page's tests need, node $(grep -o '^v[0-9.]*' "$work/log")"

  anew
  inside sh -c 'apt-get update -qq && apt-get install -qq -y --no-install-recommends cargo' || failed "Debian's cargo"
  inside make -C /graft deps-build || failed "an old cargo is replaced"
  said 'graft needs Rust' && said 'removed: .*cargo' || failed "an old cargo is replaced, aloud"
  inside sh -c 'cd /graft && cargo metadata --locked --offline --no-deps --format-version 1' \
    || failed "its cargo reads the manifest"
  passed "an old cargo is replaced, aloud"

  anew
  # Without the security updates, and without rustup where the suite has it.
  sed -i '/-security/d' "$root/etc/apt/sources.list"
  printf 'Package: rustup\nPin: release *\nPin-Priority: -1\n' >"$root/etc/apt/preferences.d/no-rustup"
  ! inside make -C /graft deps-build || failed "without any compiler that is new enough it ends"
  said 'sh.rustup.rs' || failed "without any compiler that is new enough the installer is named"
  passed "without any compiler that is new enough it ends and names the installer"

  anew
  ! inside setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/tmp make -C /graft deps-build \
    || failed "without the right to install it ends"
  said 'run as root: apt-get' || failed "without the right to install it says what to run"
  passed "without the right to install it says what to run"
done
