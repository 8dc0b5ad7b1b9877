#!/usr/bin/env bash
# Builds pinned versions of Packer and its Amazon plugin from their Go modules into .tools/packer/.
# Debian's Packer (1.6) does not support plugins that a template can require.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/go/bin"
PACKER=v1.11.2
PLUGIN=v1.2.9
tools="$PWD/.tools/packer-$PACKER-amazon-$PLUGIN"

if [ -x "$tools/packer" ]; then
  ln -sfn "$tools" .tools/packer
  exit
fi
if ! command -v go >/dev/null; then
  echo "Go is needed to build Packer, which checks the template of the worker AMI." >&2
  exit 1
fi

# `go install` refuses both, because their go.mod files replace a module.
build() {
  local source
  source="$(go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')"
  CGO_ENABLED=0 go build -C "$source" -mod=readonly -ldflags='-s -w' -o "$2" .
}

mkdir -p .tools
new="$(mktemp -d "$tools.XXXXXX")"
trap 'rm -rf "$new"' EXIT
build "github.com/hashicorp/packer-plugin-amazon@$PLUGIN" "$new/plugin"
build "github.com/hashicorp/packer@$PACKER" "$new/packer"
CHECKPOINT_DISABLE=1 PACKER_CONFIG_DIR="$new" PACKER_PLUGIN_PATH="$new/plugins" \
  "$new/packer" plugins install --path "$new/plugin" github.com/hashicorp/amazon >/dev/null
rm "$new/plugin"
chmod 755 "$new"
mv "$new" "$tools"
ln -sfn "$tools" .tools/packer
