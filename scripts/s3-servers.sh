#!/usr/bin/env bash
# Installs pinned S3 servers for the tests and the benchmarks into .tools/: moto (Python), versitygw and rclone (Go),
# s3s-fs (Rust) and s3rver (Node.js). `s3-servers.sh NAME ...` installs only the named ones. MinIO is missing: the Go module proxy has
# none of its releases.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/go/bin:$HOME/.cargo/bin"
VERSITYGW=v1.8.0
RCLONE=v1.72.1
# The newest version that Rust 1.95 compiles.
S3S_FS=0.14.1
S3RVER=3.7.1

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
  need go versitygw
  GOBIN="$PWD/.tools/versitygw-$VERSITYGW" nice go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
}

# Builds only the parts of rclone that `rclone serve s3 FOLDER` needs. All of it would take minutes.
install_rclone() {
  local folder="$PWD/.tools/rclone-$RCLONE"
  [ -x "$folder/rclone" ] && return
  need go rclone
  local source
  source="$(mktemp -d)"
  cat >"$source/main.go" <<'GO'
package main

import (
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/serve/s3"
)

func main() { cmd.Main() }
GO
  (
    cd "$source"
    go mod init blockferry.test/rclone 2>/dev/null
    go mod edit -require "github.com/rclone/rclone@$RCLONE"
    nice go build -mod=mod -o "$folder/rclone" .
  )
  rm -rf "$source"
}

install_s3s_fs() {
  [ -x ".tools/s3s-fs-$S3S_FS/bin/s3s-fs" ] && return
  need cargo s3s-fs
  nice cargo install --quiet --locked s3s-fs --version "$S3S_FS" --features binary --root ".tools/s3s-fs-$S3S_FS"
}

install_s3rver() {
  [ -x ".tools/s3rver-$S3RVER/node_modules/.bin/s3rver" ] && return
  npm install --silent --no-audit --no-fund --prefix ".tools/s3rver-$S3RVER" "s3rver@$S3RVER"
}

need() {
  command -v "$1" >/dev/null && return
  echo "$1 is needed to build $2, one of the S3 servers of the tests." >&2
  exit 1
}

[ $# -gt 0 ] || set -- moto versitygw rclone s3s-fs s3rver
for server in "$@"; do
  "install_${server//-/_}"
done
