#!/usr/bin/env bash
# Runs all tests, or the given compiled files. BLOCKFERRY_DEPTH=quick, the default, installs only moto and skips
# tests whose tools are missing. BLOCKFERRY_DEPTH=full, the default with CI=true, installs every tool, needs root,
# Go and Rust, and skips nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
PATH="$PATH:/usr/sbin:/sbin"
depth="$(node --input-type=module --eval 'import { DEPTH } from "./dist/test/support/depth.js"; console.log(DEPTH)')"
bash scripts/s3-servers.sh moto
if [ "$depth" = full ]; then
  packages="$(node --input-type=module --eval 'import { PACKAGES } from "./dist/test/support/tools.js";
    for (const entry of Object.entries(PACKAGES)) console.log(entry.join(":"));')"
  # shellcheck disable=SC2086
  bash scripts/need.sh $packages
  bash scripts/s3-servers.sh
  bash scripts/mfusepy.sh
  case "$*" in
    "" | *test/packer/*)
      bash scripts/packer.sh
      bash scripts/worker-parts.sh
      ;;
  esac
fi
if [ $# -eq 0 ]; then
  mapfile -t files < <(find dist/test -name '*.test.js' | sort)
else
  files=("$@")
fi
# Keeps the programs' state about repositories out of the user's home.
BLOCKFERRY_STATE_DIR="$(mktemp -d)"
export BLOCKFERRY_STATE_DIR
trap 'rm -rf "$BLOCKFERRY_STATE_DIR"' EXIT
# The timeout ends a file that waits for a program forever; the longest file takes ten minutes.
run_tests() {
  node --test --test-concurrency=3 --test-timeout=1500000 --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./scripts/test-summary.js --test-reporter-destination=stdout "${files[@]}"
}
if [ $# -gt 0 ] || [ "$depth" = quick ]; then
  run_tests
  exit
fi
# The fuzzer has a lower priority than the tests and ends before them: its seconds are CPU time.
BLOCKFERRY_FUZZ_SECONDS=120 nice -n 5 node dist/test/fuzz/main.js >dist/fuzz.log 2>&1 &
fuzzer=$!
trap 'kill "$fuzzer" 2>/dev/null || true; rm -rf "$BLOCKFERRY_STATE_DIR"' EXIT
failed=0
run_tests || failed=$?
wait "$fuzzer" || failed=$?
cat dist/fuzz.log
exit "$failed"
