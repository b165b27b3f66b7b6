#!/usr/bin/env bash
# Names what tests may go without on this machine, with commas between: for GRAFT_ALLOW_SKIP. Only what `make` cannot install
# everywhere is looked for; whatever else a test lacks makes it fail.
set -euo pipefail
cd "$(dirname "$0")/.."
names=()
# Minutes of training, for `make test-full`.
[ "${GRAFT_TEST_FULL:-}" = 1 ] || names+=(full)
# Networks, embeddings and pictures that are too large for the repository.
[ -d "${GRAFT_SHARED:-../shared}" ] || names+=(shared)
# From PyPI, which not every machine reaches.
python3 -c 'import onnxruntime' 2>/dev/null || names+=(onnxruntime)
"${GRAFT_MOTO_PYTHON:-python3}" -c 'import moto.server' 2>/dev/null || names+=(moto)
# A browser and npm's packages, which not every machine reaches.
[ -z "$(scripts/web-missing.sh)" ] || names+=(web)
# A test of what the trainer says where there is no GPU.
/usr/bin/python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null && names+=(no-cuda)
(IFS=,; echo "${names[*]}")
