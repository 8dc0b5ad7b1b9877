#!/usr/bin/env bash
# need.sh COMMAND:PACKAGE ... : installs the Debian package of every command that is missing, as root; says what to
# install where it cannot.
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
# Several may be at it at once, and apt-get waits for nobody.
exec 9>/run/lock/blockferry-need
flock 9
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
