#!/usr/bin/env bash
# Installs the dependencies when package-lock.json changed since the last time, and builds.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cmp --silent package-lock.json node_modules/.installed-lock.json; then
  npm ci --no-audit --no-fund
  cp package-lock.json node_modules/.installed-lock.json
fi
npm run --silent build
