#!/usr/bin/env bash
# Makes a worker of this machine: Node.js, the agent, its service, and no way in. As root, on Amazon Linux 2023 or Debian 12.
#
#   PAYLOAD       folder with blockferry.tgz (of npm pack), package-lock.json and the files beside this one
#   NODE_ARCHIVE  archive of Node.js as nodejs.org has it, a URL or a path
#   NODE_SHA256   of that archive; empty: as SHASUMS256.txt beside it says, over HTTPS
#   JOBS          backup-and-restore (the default) or backup-only
#   JOB_KEY       ARN of the KMS key that jobs must be signed with; empty: jobs are not signed
#   SERVE_OPTIONS options of `blockferry-agent serve`
set -euo pipefail
: "${PAYLOAD:?}" "${NODE_ARCHIVE:?}"
NODE_SHA256="${NODE_SHA256:-}"
JOBS="${JOBS:-backup-and-restore}"
JOB_KEY="${JOB_KEY:-}"
SERVE_OPTIONS="${SERVE_OPTIONS:-}"
PATH="/usr/local/sbin:/usr/local/bin:$PATH:/usr/sbin:/sbin"
AGENT=/opt/blockferry
# The binding of lz4 is compiled while it is installed.
declare -A COMPILERS=([apt-get]="g++ make python3" [dnf]="gcc-c++ make python3")
declare -A TOOLS=([apt-get]="ca-certificates curl xz-utils" [dnf]="tar xz")

main() {
  if command -v dnf >/dev/null; then manager=dnf; else manager=apt-get; fi
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  say "Updating the system"
  update_system
  say "Installing Node.js"
  install_node
  say "Installing the agent"
  install_agent
  say "Installing the service"
  install_service
  say "Closing the machine"
  close_machine
  clean_up
  say "This worker has blockferry-agent $(blockferry-agent --version) on Node.js $(node --version)"
}

say() { echo "● $*"; }

update_system() {
  case $manager in
    apt-get)
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq
      apt-get upgrade -y -qq >/dev/null
      ;;
    dnf) dnf upgrade -y -q ;;
  esac
  install_packages "${TOOLS[$manager]}"
}

install_packages() {
  local packages
  read -ra packages <<<"$1"
  case $manager in
    apt-get) apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ;;
    dnf) dnf install -y -q --setopt=install_weak_deps=False "${packages[@]}" ;;
  esac
}

install_node() {
  local archive sha256="$NODE_SHA256"
  archive="$work/$(basename "$NODE_ARCHIVE")"
  fetch "$NODE_ARCHIVE" "$archive"
  if [ -z "$sha256" ]; then
    fetch "$(dirname "$NODE_ARCHIVE")/SHASUMS256.txt" "$work/SHASUMS256.txt"
    sha256="$(awk -v name="$(basename "$NODE_ARCHIVE")" '$2 == name { print $1 }' "$work/SHASUMS256.txt")"
  fi
  if ! echo "$sha256  $archive" | sha256sum --check --status; then
    echo "$NODE_ARCHIVE has not the SHA-256 ${sha256:-that it should have: none is known}." >&2
    exit 1
  fi
  mkdir -p /opt/node
  tar -xf "$archive" -C /opt/node --strip-components=1 --no-same-owner
  ln -sf /opt/node/bin/node /opt/node/bin/npm /usr/local/bin/
  case "$(node --version)" in
    v24.*) ;;
    *)
      echo "$NODE_ARCHIVE is Node.js $(node --version), and not 24." >&2
      exit 1
      ;;
  esac
}

fetch() {
  case "$1" in
    https://*) curl --fail --silent --show-error --location --proto '=https' --retry 5 --output "$2" "$1" ;;
    *) cp "$1" "$2" ;;
  esac
}

# With the versions of package-lock.json, each proven by its hash: `npm install --global` would take what is newest.
install_agent() {
  local before after
  before="$(installed_packages)"
  install_packages "${COMPILERS[$manager]}"
  after="$(installed_packages)"
  rm -rf "$AGENT"
  mkdir -p "$AGENT"
  tar -xzf "$PAYLOAD/blockferry.tgz" -C "$AGENT" --strip-components=1 --no-same-owner
  cp "$PAYLOAD/package-lock.json" "$AGENT/"
  (cd "$AGENT" && npm_config_nodedir=/opt/node npm ci --omit=dev --no-audit --no-fund --no-update-notifier --loglevel=error)
  write_bill_of_materials
  chmod -R u=rwX,go=rX "$AGENT"
  link_program blockferry-agent
  link_program blockferry
  remove_packages "$(comm -13 <(echo "$before") <(echo "$after"))"
}

link_program() {
  local file
  file="$AGENT/$(node --print "require('$AGENT/package.json').bin['$1']")"
  chmod 755 "$file"
  ln -sf "$file" "/usr/local/bin/$1"
}

# Not with --omit=dev: npm leaves out what a development dependency has as its peer, though it is installed.
write_bill_of_materials() (
  cd "$AGENT"
  npm pkg delete devDependencies
  npm sbom --sbom-format=cyclonedx --no-update-notifier >sbom.cdx.json
)

installed_packages() {
  case $manager in
    apt-get) dpkg-query --show --showformat '${db:Status-Abbrev}${binary:Package}\n' | sed -n 's/^ii *//p' ;;
    dnf) rpm --query --all --queryformat '%{NAME}\n' ;;
  esac | LC_ALL=C sort -u
}

# Compilers are of use to nobody on a worker but an intruder.
remove_packages() {
  local packages
  mapfile -t packages <<<"$1"
  [ -z "${packages[0]}" ] && return
  case $manager in
    apt-get) apt-get purge -y -qq "${packages[@]}" >/dev/null ;;
    dnf) dnf remove -y -q --noautoremove "${packages[@]}" ;;
  esac
}

install_service() {
  local units=/etc/systemd/system
  id blockferry >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin blockferry
  install -D -m 644 "$PAYLOAD/blockferry-agent.service" "$units/blockferry-agent.service"
  install -D -m 755 "$PAYLOAD/set-limits.sh" /usr/local/libexec/blockferry/set-limits.sh
  case "$JOBS" in
    backup-and-restore) rm -f "$units/blockferry-agent.service.d/backup-only.conf" ;;
    backup-only) install -D -m 644 "$PAYLOAD/backup-only.conf" "$units/blockferry-agent.service.d/backup-only.conf" ;;
    *)
      echo "JOBS=$JOBS: it must be backup-and-restore or backup-only." >&2
      exit 1
      ;;
  esac
  write_settings
  systemctl enable --quiet blockferry-agent.service
}

# A job key that is set and empty would be an error.
write_settings() {
  mkdir -p /etc/blockferry
  {
    [ -z "$JOB_KEY" ] || echo "BLOCKFERRY_JOB_KEY=$JOB_KEY"
    [ -z "$SERVE_OPTIONS" ] || echo "SERVE_OPTIONS=\"$SERVE_OPTIONS\""
  } >/etc/blockferry/agent.env
}

# A masked unit cannot be started, whatever asks for it; the one that Packer is using runs on until the machine stops.
close_machine() {
  systemctl mask --quiet ssh.service ssh.socket sshd.service sshd.socket
  rm -f /etc/ssh/ssh_host_*
}

# What must not be the same on two machines, and what only the build needed.
clean_up() {
  case $manager in
    apt-get) apt-get clean && rm -rf /var/lib/apt/lists/* ;;
    dnf) dnf clean all -q ;;
  esac
  rm -rf "$PAYLOAD" /root/.npm /var/lib/cloud/instances /var/log/cloud-init*.log
  rm -f /var/lib/systemd/random-seed
  : >/etc/machine-id
}

main
