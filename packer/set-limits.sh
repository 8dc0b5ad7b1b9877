#!/bin/sh
# Gives the agent's service, before it starts, the memory and the I/O threads that the agent reckons for this machine.
# VOLUMES (attached at once) and DATA (of repository and volumes together) in /etc/blockferry/agent.env override what is usual;
# where they are wrong, the journal says so, and what is usual holds: backups go on.
set -eu
# Of the start before.
unset UV_THREADPOOL_SIZE
limits="$(/usr/local/bin/blockferry-agent limits ${VOLUMES:+--volumes "$VOLUMES"} ${DATA:+--data "$DATA"})" || {
  echo "VOLUMES=${VOLUMES:-} and DATA=${DATA:-} of /etc/blockferry/agent.env are left out." >&2
  limits="$(/usr/local/bin/blockferry-agent limits)"
}
mkdir -p /run/blockferry
echo "$limits" | grep '^UV_THREADPOOL_SIZE=' >/run/blockferry/limits.env
systemctl set-property --runtime blockferry-agent.service "$(echo "$limits" | grep '^MemoryMax=')"
