#!/usr/bin/env bash
# What the tests of the worker AMI are made of, into .tools/worker/: a Debian root by debootstrap, and Node.js 24 as an archive like
# that of nodejs.org, of npm's package of the same binary and of this machine's npm.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
NODE=24.21.0
[ "$(id -u)" -eq 0 ] || exit 0
bash scripts/need.sh debootstrap:debootstrap systemd-nspawn:systemd-container
mkdir -p .tools/worker
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if [ ! -e .tools/worker/root.tar ]; then
  debootstrap --variant=minbase --include=systemd bookworm "$work/root" >"$work/log" || { tail "$work/log" >&2 && exit 1; }
  rm -rf "$work/root/var/cache/apt/archives"/*.deb
  tar -cf "$work/root.tar" -C "$work/root" .
  mv "$work/root.tar" .tools/worker/
fi

if [ ! -e .tools/worker/node.tar ]; then
  arch="$(node --print process.arch)"
  name="node-v$NODE-linux-$arch"
  npm pack --silent --pack-destination "$work" "node-linux-$arch@$NODE" >/dev/null
  mkdir -p "$work/$name/lib/node_modules"
  tar -xzf "$work"/node-linux-*.tgz -C "$work/$name" --strip-components=1
  cp -a "$(npm root --global)/npm" "$work/$name/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/$name/bin/npm"
  tar -cf "$work/node.tar" -C "$work" "$name"
  mv "$work/node.tar" .tools/worker/
fi
