#!/bin/sh
# Sets the memory limit and the I/O threads of the agent's service before it starts, as the agent computes
# them. VOLUMES (attached at once) and DATA (size of repository and volumes together) in
# /etc/blockferry/agent.env override the defaults. When they are invalid, the journal reports it and the
# defaults apply, so that backups continue.
set -eu
# The value of the previous start.
unset UV_THREADPOOL_SIZE
limits="$(/usr/local/bin/blockferry-agent limits ${VOLUMES:+--volumes "$VOLUMES"} ${DATA:+--data "$DATA"})" || {
  echo "VOLUMES=${VOLUMES:-} and DATA=${DATA:-} of /etc/blockferry/agent.env are left out." >&2
  limits="$(/usr/local/bin/blockferry-agent limits)"
}
mkdir -p /run/blockferry
echo "$limits" | grep '^UV_THREADPOOL_SIZE=' >/run/blockferry/limits.env
systemctl set-property --runtime blockferry-agent.service "$(echo "$limits" | grep '^MemoryMax=')"
