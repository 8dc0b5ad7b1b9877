#!/usr/bin/env bash
# Checks style, dead code, the direction of imports, prose and shell scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
npx --no-install biome ci .
npx --no-install knip
npx --no-install depcruise agent bench command-line controller demo foundation native-free-io report repository test
node scripts/prose.js
bash scripts/need.sh shellcheck:shellcheck
shellcheck packer/*.sh scripts/*.sh .ci/run
