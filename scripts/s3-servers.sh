#!/usr/bin/env bash
# Installs pinned S3 servers for the tests and the benchmarks into .tools/: moto (Python) and versitygw (Go).
# `s3-servers.sh moto` or `s3-servers.sh versitygw` installs only that server.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/go/bin"
VERSITYGW=v1.8.0

install_moto() {
  cmp --silent scripts/moto-requirements.txt .tools/moto/installed.txt && return
  rm -rf .tools/moto
  python3 -c 'import ensurepip' 2>/dev/null || bash scripts/need.sh "no-ensurepip:python3-venv"
  python3 -m venv .tools/moto
  .tools/moto/bin/pip install --quiet --disable-pip-version-check -r scripts/moto-requirements.txt
  cp scripts/moto-requirements.txt .tools/moto/installed.txt
}

install_versitygw() {
  [ -x ".tools/versitygw-$VERSITYGW/versitygw" ] && return
  if ! command -v go >/dev/null; then
    echo "Go is needed to install versitygw, the second S3 server of the tests and benchmarks." >&2
    exit 1
  fi
  GOBIN="$PWD/.tools/versitygw-$VERSITYGW" go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
}

[ "${1:-}" = versitygw ] || install_moto
[ "${1:-}" = moto ] || install_versitygw
