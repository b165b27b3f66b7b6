#!/usr/bin/env bash
# Format and clippy with these options of cargo. A compiler without them (Debian's for its browsers, where rustup is no
# package) leaves both out, and the list of what was skipped says so.
set -euo pipefail
cd "$(dirname "$0")/.."
if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
  cargo fmt --check
  cargo clippy "$@" --all-targets -- -D warnings
else
  echo "format and lints are skipped: this compiler comes without them"
  [ -z "${GRAFT_SKIPPED:-}" ] || mkdir -p "$(dirname "$GRAFT_SKIPPED")"
  printf 'clippy\tmake lint\tcargo has neither fmt nor clippy here: install Rust with rustup\n' >>"${GRAFT_SKIPPED:-/dev/null}"
fi
