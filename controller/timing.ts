/** Poll intervals and timeouts, in milliseconds. */
export interface Timing {
  /** First pause between two polls; it grows to `maxPollMs`. */
  pollMs: number;
  maxPollMs: number;
  /** How long an AWS call may take before it is repeated. */
  callMs: number;
  /** How long AWS or the network may fail without interruption. */
  outageMs: number;
  /** How long EC2 may not know an id that it has just returned (EC2: "Eventual consistency"). */
  visibleMs: number;
  /** Timeout for snapshots and copies; large volumes take hours. */
  snapshotMs: number;
  /** Timeout for everything else that EC2 does within minutes. */
  resourceMs: number;
  /** Time without a new heartbeat after which the agent is lost. */
  heartbeatMs: number;
  /** How long an agent may take to find its job; a launched worker has to start first. */
  agentStartMs: number;
  /** How long an agent that still sends heartbeats may take to release the devices after a cancel request. */
  agentStopMs: number;
  /** Pause before undoing is repeated; it grows with each attempt. */
  undoPauseMs: number;
  /** Interval of a run's heartbeat in its journal. */
  journalMs: number;
}

const MINUTE_MS = 60_000;

/** Returns the default timing; tests shorten it through environment variables. */
export function timing(env: NodeJS.ProcessEnv = process.env): Timing {
  const number = (name: string, otherwise: number) => Number(env[name]) || otherwise;
  const heartbeatMs = number("BLOCKFERRY_HEARTBEAT_TIMEOUT_MS", MINUTE_MS);
  const pollMs = number("BLOCKFERRY_POLL_MS", 1000);
  const resourceMs = number("BLOCKFERRY_RESOURCE_TIMEOUT_MS", 10 * MINUTE_MS);
  return {
    pollMs,
    maxPollMs: pollMs * 15,
    callMs: number("BLOCKFERRY_CALL_TIMEOUT_MS", MINUTE_MS),
    // The storage reads the same variable.
    outageMs: number("BLOCKFERRY_OUTAGE_TIMEOUT_MS", 5 * MINUTE_MS),
    visibleMs: number("BLOCKFERRY_VISIBLE_TIMEOUT_MS", MINUTE_MS),
    snapshotMs: number("BLOCKFERRY_SNAPSHOT_TIMEOUT_MS", 72 * 60 * MINUTE_MS),
    resourceMs,
    heartbeatMs,
    agentStartMs: number("BLOCKFERRY_AGENT_START_TIMEOUT_MS", heartbeatMs * 10),
    agentStopMs: resourceMs,
    undoPauseMs: pollMs * 5,
    journalMs: Math.min(10_000, heartbeatMs / 3),
  };
}
