#!/usr/bin/env bash
# Makes the inputs for the tests of the worker AMI in .tools/worker/: a Debian root from debootstrap, and
# Node.js 24 as an archive like that of nodejs.org, from npm's package of the same binary and this machine's
# npm.
set -euo pipefail
cd "$(dirname "$0")/.."
npm_package="$(npm root --global)/npm"
. scripts/node.sh
PATH="$PATH:/usr/sbin:/sbin"
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
  node_from_npm 24
  name="node-v${node_home##*-}-linux-$(node --print process.arch)"
  cp -a "$node_home" "$work/$name"
  mkdir -p "$work/$name/lib/node_modules"
  cp -a "$npm_package" "$work/$name/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/$name/bin/npm"
  tar -cf "$work/node.tar" -C "$work" "$name"
  mv "$work/node.tar" .tools/worker/
fi
