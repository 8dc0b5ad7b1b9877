#!/usr/bin/env bash
# need.sh COMMAND:PACKAGE ... installs the Debian package of every missing command, as root.
# Where it cannot install them, it lists the missing packages.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
missing=()
for need in "$@"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "These packages are needed and missing: ${missing[*]}. Install them and run this again." >&2
  exit 1
fi
# Several scripts may run this at once, and apt-get does not wait for its lock.
exec 9>/run/lock/blockferry-need
flock 9
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
