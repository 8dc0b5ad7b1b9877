#!/usr/bin/env bash
# Turns this machine into a worker: Node.js, the agent and its service, without any login.
# Run it as root, on Amazon Linux 2023 or Debian 12.
#
#   PAYLOAD       folder with blockferry.tgz (from npm pack), package-lock.json and the files next to this one
#   NODE_ARCHIVE  archive of Node.js in the form of nodejs.org, a URL or a path
#   NODE_SHA256   SHA-256 of that archive; empty: taken over HTTPS from SHASUMS256.txt in the same folder
#   JOBS          backup-and-restore (the default) or backup-only
#   JOB_KEY       ARN of the KMS key that must sign jobs; empty: jobs are not signed
#   REPLY_KEY     ARN of the KMS key that signs heartbeats and results; empty: they are not signed
#   EXPECT        the only accepted repository, in the form of --expect-repository; empty: any
#   SERVE_OPTIONS options of `blockferry-agent serve`
set -euo pipefail
: "${PAYLOAD:?}" "${NODE_ARCHIVE:?}"
NODE_SHA256="${NODE_SHA256:-}"
JOBS="${JOBS:-backup-and-restore}"
JOB_KEY="${JOB_KEY:-}"
REPLY_KEY="${REPLY_KEY:-}"
EXPECT="${EXPECT:-}"
SERVE_OPTIONS="${SERVE_OPTIONS:-}"
PATH="/usr/local/sbin:/usr/local/bin:$PATH:/usr/sbin:/sbin"
AGENT=/opt/blockferry
# npm compiles the binding of lz4 during its installation.
declare -A COMPILERS=([apt-get]="g++ make python3" [dnf]="gcc-c++ make python3")
# Rules and units of these packages on Debian 12 and Amazon Linux 2023: lvm2, mdadm, btrfs-progs,
# bcache-tools, multipath-tools, dmraid, ZFS, udisks2.
VOLUME_RULES=(
  56-lvm 69-lvm 69-dm-lvm 69-dm-lvm-metad 63-md-raid-arrays 64-md-raid-assembly 65-md-incremental
  69-md-clustered-confirm-device 01-md-raid-creating 64-btrfs 64-btrfs-dm 64-btrfs-zoned 69-bcache
  60-multipath 62-multipath 66-kpartx 68-del-part-nodes 60-zvol 69-vdev 90-zfs 80-udisks2
)
VOLUME_UNITS=(
  lvm2-monitor.service lvm2-lvmpolld.service lvm2-lvmpolld.socket lvm2-lvmetad.service lvm2-lvmetad.socket
  lvm2-pvscan@.service lvm-devices-import.path lvm-devices-import.service blk-availability.service
  dm-event.service dm-event.socket mdmonitor.service mdmonitor-oneshot.service mdmonitor-oneshot.timer
  mdcheck_start.service mdcheck_start.timer mdcheck_continue.service mdcheck_continue.timer
  mdadm-last-resort@.service mdadm-last-resort@.timer mdadm-grow-continue@.service mdmon@.service
  mdadm.service mdadm-raid.service multipathd.service multipathd.socket multipath-tools.service
  dmraid-activation.service zfs-import-cache.service zfs-import-scan.service zfs-mount.service zfs-zed.service
  udisks2.service
)
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
  say "Leaving the content of volumes alone"
  ignore_volumes
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

# Installs the versions in package-lock.json, each verified by its hash; `npm install --global` would take the
# newest.
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

# Without --omit=dev, with which npm leaves out installed peers of development dependencies.
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

# Removes compilers, which only an intruder would use on a worker.
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

# Leaves empty settings out: an empty key would be an error.
write_settings() {
  mkdir -p /etc/blockferry
  {
    [ -z "$JOB_KEY" ] || echo "BLOCKFERRY_JOB_KEY=$JOB_KEY"
    [ -z "$REPLY_KEY" ] || echo "BLOCKFERRY_REPLY_KEY=$REPLY_KEY"
    [ -z "$EXPECT" ] || echo "BLOCKFERRY_EXPECT_REPOSITORY=$EXPECT"
    [ -z "$SERVE_OPTIONS" ] || echo "SERVE_OPTIONS=\"$SERVE_OPTIONS\""
  } >/etc/blockferry/agent.env
}

# Volumes contain foreign data, which only the agent may read. So the system assembles no volume group, RAID
# or multipath device from them, and mounts or activates nothing automatically. Rules and units are masked
# even if their package is not installed, because it may be installed later.
ignore_volumes() {
  local rule unit
  for rule in "${VOLUME_RULES[@]}"; do mask_file "/etc/udev/rules.d/$rule.rules"; done
  for unit in "${VOLUME_UNITS[@]}"; do mask_file "/etc/systemd/system/$unit"; done
  mask_file /etc/systemd/system-generators/systemd-gpt-auto-generator
  mask_file /etc/systemd/system-generators/lvm2-activation-generator
  mkdir -p /etc/lvm/devices /etc/mdadm /etc/sysctl.d
  : >/etc/lvm/devices/system.devices
  cat >/etc/lvm/lvmlocal.conf <<'EOF'
devices {
  use_devicesfile = 1
  global_filter = [ "r|.*|" ]
}
global {
  event_activation = 0
}
EOF
  echo "AUTO -all" | tee /etc/mdadm.conf >/etc/mdadm/mdadm.conf
  printf 'blacklist {\n  devnode ".*"\n}\n' >/etc/multipath.conf
  # Other users cannot open a user's links, files and pipes in a shared folder.
  printf 'fs.protected_%s\n' symlinks=1 hardlinks=1 regular=2 fifos=2 >/etc/sysctl.d/90-blockferry.conf
}

# A link to /dev/null in /etc hides the file of the same name from udev and systemd.
mask_file() {
  mkdir -p "$(dirname "$1")"
  ln -sfn /dev/null "$1"
}

# Disables SSH. A masked unit cannot be started; the one that Packer uses keeps running until the machine
# stops.
close_machine() {
  systemctl mask --quiet ssh.service ssh.socket sshd.service sshd.socket
  rm -f /etc/ssh/ssh_host_*
}

# Removes files that must be unique to a machine, and files that only the build needed.
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
