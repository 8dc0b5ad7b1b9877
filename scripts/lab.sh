#!/usr/bin/env bash
# Starts a local AWS with instances to back up, and prints commands to try. Ctrl-C removes everything.
# Needs root, for loop devices.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
PATH="$PATH:/usr/sbin:/sbin"
if [ "$(id -u)" -ne 0 ]; then
  echo "The lab makes loop devices: run it as root." >&2
  exit 1
fi
bash scripts/need.sh losetup:mount mke2fs:e2fsprogs
bash scripts/s3-servers.sh moto
exec node dist/test/lab/main.js
