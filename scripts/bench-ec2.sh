#!/usr/bin/env bash
# Measures a device of this machine, and backups and restores of the device; see bench/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
bash scripts/need.sh fio:fio setpriv:util-linux borg:borgbackup restic:restic
exec node dist/bench/ec2/main.js "$@"
