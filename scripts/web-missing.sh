#!/usr/bin/env bash
# Prints what the page's build and its tests in a browser lack here, one a line; nothing where all is there.
# Usage: scripts/web-missing.sh [browser]: of the browser alone.
set -euo pipefail
cd "$(dirname "$0")/.."
browser() {
  local place
  for place in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
    [ -z "$place" ] || [ ! -x "$place" ] || return 0
  done
  echo "a browser: chromium"
}
# Whether the packages of a folder are those of its lock file.
packages() {
  local kept="$1/node_modules/.package-lock.json"
  [ -f "$kept" ] && [ ! "$1/package-lock.json" -nt "$kept" ] || echo "the packages of $1"
}
browser
[ "${1:-}" != browser ] || exit 0
version="$(node --version 2>/dev/null | sed 's/^v//; s/[.].*//')" || true
[ "${version:-0}" -ge 18 ] || echo "node, version 18 or newer"
command -v npm >/dev/null || echo npm
packages crates/page/web
packages tests/web
