#!/usr/bin/env bash
# Compares blockferry with other tools and with the machine's limit; see bench/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
PATH="$PATH:/usr/sbin:/sbin"
bash scripts/need.sh mke2fs:e2fsprogs taskset:util-linux setpriv:util-linux borg:borgbackup restic:restic nbdkit:nbdkit nbdfuse:libnbd-bin nbdcopy:libnbd-bin
bash scripts/s3-servers.sh versitygw || echo "The rows of s3 are left out." >&2
exec node dist/bench/main.js "$@"
