#!/usr/bin/env bash
# Runs the tests of the page: its parts, its build from the lock file, and the page in a browser against the real daemon.
# Usage: scripts/web-test.sh [full]. Without what they need they fail, unless GRAFT_ALLOW_SKIP has `web`.
set -euo pipefail
cd "$(dirname "$0")/.."
missing="$(scripts/web-missing.sh | paste -sd, | sed 's/,/, /g')"
if [ -n "$missing" ]; then
  case ",${GRAFT_ALLOW_SKIP:-}," in
    *,web,*)
      echo "skipped (web): $missing" >&2
      [ -z "${GRAFT_SKIPPED:-}" ] || printf 'web\tthe page in a browser\tnot here: %s\n' "$missing" >> "$GRAFT_SKIPPED"
      exit 0 ;;
    *)
      echo "the tests of the page cannot run here, for want of: $missing. Install that (scripts/install.sh web), or leave" \
        "them out with GRAFT_ALLOW_SKIP=web" >&2
      exit 1 ;;
  esac
fi
(cd crates/page/web && npm test --silent && npx --no-install tsc --noEmit)
tests=(tests/web/dist.test.mjs tests/web/smoke.test.mjs)
[ "${1:-}" != full ] || tests=(tests/web/*.test.mjs)
# One after the other: each has a daemon and a browser of its own.
for file in "${tests[@]}"; do
  node --test "$file"
done
