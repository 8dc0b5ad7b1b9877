#!/usr/bin/env bash
# Installs a pinned mfusepy into .tools/, for the FUSE file system of the tests (test/support/odd-file-system.py).
set -euo pipefail
cd "$(dirname "$0")/.."
MFUSEPY=3.1.1
tools=".tools/mfusepy-$MFUSEPY"
[ -e "$tools/installed" ] && exit
python3 -c 'import ensurepip' 2>/dev/null || bash scripts/need.sh "no-ensurepip:python3-venv"
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check "mfusepy==$MFUSEPY"
touch "$tools/installed"
