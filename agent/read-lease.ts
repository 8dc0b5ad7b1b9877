import { BlockferryError } from "../foundation/blockferry-error.js";
import { Lease } from "../repository/lease.js";
import type { Storage } from "../repository/storage/storage.js";
import type { RunWatcher } from "./run-watcher.js";

/** How a repository says that it cannot be written to. */
const NOT_WRITABLE: ReadonlySet<string> = new Set(["StorageDenied", "StorageFull", "StorageFailed"]);

interface ReadLeaseOptions {
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Keeps `prune` from removing what `read` is about to read, recovery points included. Where nothing may be written, there
 * is the grace period of `prune` alone, and the watcher is told so.
 * @throws LeaseLost, whatever `read` came to: what it missed may have been removed under it
 */
export async function withReadLease<T>(
  storage: Storage,
  { watcher, signal }: ReadLeaseOptions,
  read: () => Promise<T>,
): Promise<T> {
  const lease = await acquireIfWritable(storage, watcher, signal);
  try {
    return await read().finally(() => signal.aborted || lease?.assertHeld());
  } finally {
    await lease?.release();
  }
}

async function acquireIfWritable(
  storage: Storage,
  watcher: RunWatcher,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  try {
    return await Lease.acquire(storage, "read", signal);
  } catch (error) {
    if (!(error instanceof BlockferryError) || !NOT_WRITABLE.has(error.code)) throw error;
    watcher.notice(
      `${storage.name} cannot be written to, so nothing but its grace period keeps \`prune\` from what is read.`,
    );
    return undefined;
  }
}
