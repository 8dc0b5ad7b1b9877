/** How often the world is asked, and how long it may take, in milliseconds. */
export interface Timing {
  /** First wait between two questions; it grows to `maxPollMs`. */
  pollMs: number;
  maxPollMs: number;
  /** How long AWS may take to answer a call, before it is made again. */
  callMs: number;
  /** How long AWS or the network may fail without a break. */
  outageMs: number;
  /** How long an id that EC2 just returned may still be unknown to it (EC2: "Eventual consistency"). */
  visibleMs: number;
  /** Snapshots and copies of large volumes take hours. */
  snapshotMs: number;
  /** For everything else that EC2 does within minutes. */
  resourceMs: number;
  /** After this without a newer heartbeat the agent is lost. */
  heartbeatMs: number;
  /** How long an agent may take to find its job; a launched worker has to start first. */
  agentStartMs: number;
  /** How long an agent that still sends heartbeats may take to let the devices go, after it was told to. */
  agentStopMs: number;
  /** Pause before undoing is tried again; it grows from one try to the next. */
  undoPauseMs: number;
  /** How often a run says in its journal that it lives. */
  journalMs: number;
}

const MINUTE_MS = 60_000;

/** The defaults, which tests shorten through the environment. */
export function timing(env: NodeJS.ProcessEnv = process.env): Timing {
  const number = (name: string, otherwise: number) => Number(env[name]) || otherwise;
  const heartbeatMs = number("BLOCKFERRY_HEARTBEAT_TIMEOUT_MS", MINUTE_MS);
  const pollMs = number("BLOCKFERRY_POLL_MS", 1000);
  const resourceMs = number("BLOCKFERRY_RESOURCE_TIMEOUT_MS", 10 * MINUTE_MS);
  return {
    pollMs,
    maxPollMs: pollMs * 15,
    callMs: number("BLOCKFERRY_CALL_TIMEOUT_MS", MINUTE_MS),
    // The storage heeds the same variable.
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
