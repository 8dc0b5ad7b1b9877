#!/usr/bin/env bash
# Runs the tests: all of them, or the compiled files given. Tests that need loop devices, mounts or FUSE run as root; with CI=true they
# must run, elsewhere a user who is not root is told what is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
if [ "$(id -u)" -eq 0 ]; then
  bash scripts/need.sh mke2fs:e2fsprogs mkfs.btrfs:btrfs-progs losetup:mount mksquashfs:squashfs-tools nbdkit:nbdkit nbdfuse:libnbd-bin \
    setpriv:util-linux addpart:util-linux script:bsdutils fio:fio borg:borgbackup restic:restic
fi
bash scripts/need.sh nbdinfo:libnbd-bin nbdcopy:libnbd-bin qemu-img:qemu-utils chromium:chromium
bash scripts/s3-servers.sh
case "$*" in
  "" | *test/packer/*)
    bash scripts/packer.sh
    bash scripts/worker-parts.sh
    ;;
esac
if [ $# -eq 0 ]; then
  mapfile -t files < <(find dist/test -name '*.test.js' | sort)
else
  files=("$@")
fi
run_tests() {
  node --test --test-reporter=spec --test-concurrency=3 "${files[@]}"
}
if [ $# -gt 0 ]; then
  run_tests
  exit
fi
# The fuzzer takes less of the processors than the tests, and is done before they are: its seconds are of CPU time.
[ "${CI:-}" = true ] && export BLOCKFERRY_FUZZ_SECONDS="${BLOCKFERRY_FUZZ_SECONDS:-300}"
nice -n 5 node dist/test/fuzz/main.js >dist/fuzz.log 2>&1 &
fuzzer=$!
trap 'kill "$fuzzer" 2>/dev/null || true' EXIT
failed=0
run_tests || failed=$?
wait "$fuzzer" || failed=$?
cat dist/fuzz.log
exit "$failed"
