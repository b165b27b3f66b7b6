#!/usr/bin/env bash
# Installs the package in a throw-away Debian and does to it what happens to packages. Needs root; prints one line for
# each scenario. GRAFT_DEBIAN=DIR takes a minimal Debian that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
deb="$(ls -t target/debian/graft_*_"$(dpkg --print-architecture)".deb | head -1)"
work="$(mktemp -d)"
root="$work/root"
running=
trap '[ -z "$running" ] || { kill "$running" && wait "$running"; } 2>/dev/null || true; umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"' EXIT

passed() { printf 'passed  %s\n' "$*"; }
failed() { printf 'FAILED  %s\n' "$*"; exit 1; }
inside() { chroot "$root" env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
asked() { cat "$root/asked" 2>/dev/null || true; }

lintian --tag-display-limit 0 --fail-on error "$deb" >"$work/lintian" 2>&1 || { cat "$work/lintian"; failed lintian; }
passed "lintian has no errors ($(grep -c '^W:' "$work/lintian" || true) warnings)"

if [ -n "${GRAFT_DEBIAN:-}" ]; then
  cp -a "$GRAFT_DEBIAN" "$root"
else
  # From wherever this machine has its own packages.
  command -v debootstrap >/dev/null || apt-get install -qq -y --no-install-recommends debootstrap >/dev/null
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)"
  debootstrap --variant=minbase --include=systemd bookworm "$root" "$mirror" >"$work/debootstrap" 2>&1 \
    || { tail -5 "$work/debootstrap"; failed debootstrap; }
fi
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
# It looks as if systemd ran: what it is asked for is written down.
mkdir -p "$root/run/systemd/system"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
cat >"$root/usr/local/sbin/systemctl" <<'FAKE'
#!/bin/sh
echo "$@" >>/asked
case "$*" in
  *is-enabled*) echo enabled ;;
  *is-active*) [ -e /started ] ;;
  *' start '* | *restart*) : >/started ;;
esac
FAKE
chmod 755 "$root/usr/local/sbin/systemctl"

# The same package under later version numbers.
later() {
  dpkg-deb -R "$deb" "$work/later"
  sed -i "s/^Version: .*/Version: $1/" "$work/later/DEBIAN/control"
  dpkg-deb -Zgzip -z1 -b "$work/later" "$root/later.deb" >/dev/null
  rm -rf "$work/later"
}

cp "$deb" "$root/first.deb"
inside dpkg -i /first.deb >"$work/log" 2>&1 || { cat "$work/log"; failed "install"; }
inside graft --version >/dev/null && inside graft config check >/dev/null || failed "the program does not run"
inside getent passwd graft >/dev/null && inside id -nG graft | grep -qw video || failed "the user is not there"
for file in usr/share/man/man1/graft.1.gz usr/share/bash-completion/completions/graft usr/share/doc/graft/licences.txt \
  usr/lib/udev/rules.d/60-graft.rules usr/lib/sysusers.d/graft.conf usr/lib/tmpfiles.d/graft.conf \
  usr/share/doc/graft/drop-ins/network.conf etc/graft/config.toml; do
  [ -s "$root/$file" ] || failed "$file is missing"
done
asked | grep -q "start.*graft.service" || { cat "$work/log"; asked; failed "the service is not started"; }
passed "install: program, user, unit, manual, completions, licences; the service is started"

echo 'id = "my-board"' | sed '1i [device]' >>"$root/etc/graft/config.toml"
install -d "$root/var/lib/graft" && echo kept >"$root/var/lib/graft/a-sample"
later 98.0; rm -f "$root/asked"
inside dpkg --force-confold -i /later.deb >"$work/log" 2>&1 || { cat "$work/log"; failed "upgrade"; }
[ -s "$root/var/lib/graft/a-sample" ] && grep -q my-board "$root/etc/graft/config.toml" || failed "upgrade loses things"
asked | grep -q 'restart.*graft.service' || failed "an upgrade does not restart"
asked | grep -q 'stop.*graft.service' && failed "an upgrade stops the service first"
passed "upgrade: configuration and data are kept; restarted once, at the end"

# Not by the function above: its process must be the program's.
chroot "$root" /usr/bin/graft run --set camera.source=pattern --set mqtt.enabled=false --set store.dir=/tmp/old --set metrics.listen= \
  >"$work/run" 2>&1 &
running=$!
for _ in $(seq 300); do grep -q "graft is ready" "$work/run" && break; sleep 0.2; done
grep -q "graft is ready" "$work/run" || { cat "$work/run"; failed "the old service does not start"; }
echo 'hozt = "x"' >>"$root/etc/graft/config.toml"
later 99.0; rm -f "$root/asked"
if inside dpkg --force-confold -i /later.deb >"$work/log" 2>&1; then failed "a broken configuration is accepted"; fi
grep -q 'hozt' "$work/log" || { cat "$work/log"; failed "nobody says what is wrong"; }
asked | grep -Eq 'start|stop' && failed "the service was touched"
kill -0 "$running" || failed "the old service died"
passed "a broken configuration: refused with its line, the old service goes on running"

sed -i '/hozt/d' "$root/etc/graft/config.toml"
inside dpkg --configure graft >"$work/log" 2>&1 || { cat "$work/log"; failed "mended, but not accepted"; }
asked | grep -q 'restart.*graft.service' || failed "mended, but not restarted"
passed "mended: dpkg --configure restarts it"
kill "$running"; wait "$running" || failed "the old service did not stop cleanly"; running=

inside dpkg -r graft >"$work/log" 2>&1 || { cat "$work/log"; failed "remove"; }
[ -s "$root/etc/graft/config.toml" ] && [ ! -e "$root/usr/bin/graft" ] || failed "remove"
inside dpkg -P graft >"$work/log" 2>&1 || { cat "$work/log"; failed "purge"; }
[ ! -e "$root/etc/graft/config.toml" ] && [ -s "$root/var/lib/graft/a-sample" ] || failed "purge"
grep -q /var/lib/graft "$work/log" || failed "purge does not say what it left"
passed "remove and purge: configuration gone, samples left and said so"
