#!/usr/bin/env bash
# Style, dead code and the direction of imports.
set -euo pipefail
cd "$(dirname "$0")/.."
npx --no-install biome ci .
npx --no-install knip
npx --no-install depcruise agent bench command-line controller demo foundation native-free-io repository test
