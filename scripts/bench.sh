#!/usr/bin/env bash
# Measures blockferry side by side with other tools and with the machine's own limit; see bench/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
bash scripts/need.sh mke2fs:e2fsprogs taskset:util-linux setpriv:util-linux borg:borgbackup restic:restic nbdkit:nbdkit nbdfuse:libnbd-bin nbdcopy:libnbd-bin
bash scripts/s3-servers.sh versitygw
exec node dist/bench/main.js "$@"
