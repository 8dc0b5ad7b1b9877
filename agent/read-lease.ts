import { BlockferryError } from "../foundation/blockferry-error.js";
import { Lease } from "../repository/lease.js";
import type { Storage } from "../repository/storage/storage.js";

/** Errors of a repository that cannot be written to. */
const NOT_WRITABLE: ReadonlySet<string> = new Set(["StorageDenied", "StorageFull", "StorageFailed"]);

interface ReadLeaseOptions {
  /** Gets the notice that the repository is read-only. */
  watcher: { notice(message: string): void };
  signal: AbortSignal;
}

/**
 * Keeps `prune` from removing objects while `read` runs, including recovery points.
 * If the repository is read-only, only the grace period of `prune` protects them, and the watcher gets a
 * notice.
 * @throws LeaseLost, even if `read` failed: objects it missed may have been removed meanwhile
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
  watcher: ReadLeaseOptions["watcher"],
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
