#!/usr/bin/env bash
# Installs the S3 servers that the tests and the benchmarks run against, pinned, into .tools/: moto (Python) and versitygw (Go).
# `s3-servers.sh moto` or `versitygw` installs that one alone. Without Go versitygw is left out, with CI=true that is an error.
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
  if command -v go >/dev/null; then
    GOBIN="$PWD/.tools/versitygw-$VERSITYGW" go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
  elif [ "${CI:-}" = true ]; then
    echo "Go is needed to install versitygw, the second S3 server of the tests." >&2
    exit 1
  else
    echo "No Go here: what needs versitygw is left out." >&2
  fi
}

[ "${1:-}" = versitygw ] || install_moto
[ "${1:-}" = moto ] || install_versitygw
