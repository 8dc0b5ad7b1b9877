#!/usr/bin/env bash
# Style, dead code, the direction of imports, and shell scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
npx --no-install biome ci .
npx --no-install knip
npx --no-install depcruise agent bench command-line controller demo foundation native-free-io report repository test
bash scripts/need.sh shellcheck:shellcheck
shellcheck packer/*.sh scripts/*.sh .ci/run
