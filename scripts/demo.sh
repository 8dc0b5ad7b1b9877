#!/usr/bin/env bash
# Backs up a disk image, changes it and restores it, in local files that are removed afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
bash scripts/need.sh mke2fs:e2fsprogs debugfs:e2fsprogs
exec node dist/demo/demo.js
