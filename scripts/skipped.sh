#!/usr/bin/env bash
# Prints which tests were left out and why: the lines of $GRAFT_SKIPPED, each `name<TAB>test<TAB>why`.
set -euo pipefail
list="${GRAFT_SKIPPED:-$(dirname "$0")/../target/skipped.txt}"
if [ ! -s "$list" ]; then echo "Nothing was skipped."; exit; fi
echo "Skipped:"
sort -u "$list" | awk -F'\t' '{ printf "  %-12s %s: %s\n", $1, $2, $3 }'
