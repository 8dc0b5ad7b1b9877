# shellcheck shell=bash
# Puts a supported version of Node.js first in PATH; scripts that run Node.js source this file.
# Uses the Node.js of this machine if it is new enough, else version 24 from npm's package of the same binary.
# BLOCKFERRY_NODE=22 or 24 always takes that version from npm.
node_from_npm() {
  local version arch package
  case "$1" in
    22) version=22.23.3 ;;
    24) version=24.21.0 ;;
    *) echo "BLOCKFERRY_NODE is \"$1\"; it must be 22 or 24." >&2 && return 1 ;;
  esac
  arch="$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')"
  package="node-linux-$arch"
  node_home="$PWD/.tools/node-$version"
  [ -x "$node_home/bin/node" ] && return
  local new
  mkdir -p .tools
  new="$(mktemp -d .tools/node.XXXXXX)"
  npm pack --silent --pack-destination "$new" "$package@$version" >/dev/null
  mkdir "$new/node"
  tar -xzf "$new/$package-$version.tgz" -C "$new/node" --strip-components=1
  # Another script may have installed it in the meantime.
  mv -T "$new/node" "$node_home" 2>/dev/null || [ -x "$node_home/bin/node" ]
  rm -rf "$new"
}

is_new_enough() {
  node --eval 'const [major, minor] = process.versions.node.split(".").map(Number); process.exitCode = major > 22 || (major === 22 && minor >= 15) ? 0 : 1' 2>/dev/null
}

if [ -n "${BLOCKFERRY_NODE:-}" ]; then
  node_from_npm "$BLOCKFERRY_NODE"
elif ! is_new_enough; then
  node_from_npm 24
fi
if [ -n "${node_home:-}" ]; then
  export PATH="$node_home/bin:$PATH"
  # Addons use the headers of this package; otherwise node-gyp would download them.
  export npm_config_nodedir="$node_home"
fi
