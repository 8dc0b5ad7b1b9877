#!/usr/bin/env bash
# Builds; installs the dependencies first if package-lock.json or the version of Node.js has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
installed="$(node --print 'process.versions.modules') $(sha256sum <package-lock.json)"
if [ "$installed" != "$(cat node_modules/.installed 2>/dev/null)" ]; then
  npm ci --no-audit --no-fund
  echo "$installed" >node_modules/.installed
fi
npm run --silent build
