import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Compression } from "../../repository/chunk-codec.js";
import { condemn } from "../../repository/condemnation.js";
import { isLeaseAlive, Lease, listLeases } from "../../repository/lease.js";
import type { Repository } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { copyChunks } from "../copy-chunks.js";
import { type PackUsage, type Survey, survey } from "../survey.js";
import { dueCondemnations, sentence, sweep } from "./sweep.js";

export interface PruneOptions {
  /** How long condemned packs stay, besides until all runs have ended that may rely on them. */
  graceMs: number;
  /** Packs of which less than this is needed are rewritten, in per cent. */
  rewriteBelowPercent: number;
  /** The most bytes that are copied by rewriting. */
  maxRewriteBytes: number;
  compression: Compression;
  signal: AbortSignal;
}

/** Packs, and the bytes that they take. */
export interface PackTotals {
  packs: number;
  bytes: number;
}

export interface PrunePlan {
  /** Condemned by an earlier run, and removed by this one. */
  removed: PackTotals;
  /** Condemned by this run; a later one removes them. */
  condemned: PackTotals;
  /** Those of the condemned ones that something was needed of: it was copied into new packs first. */
  rewritten: PackTotals;
  /** Condemned earlier, and not to be removed yet. */
  waiting: PackTotals;
  /** All others that there were. */
  kept: PackTotals;
  /** Stored bytes that recovery points need. */
  neededBytes: number;
}

export interface PruneReport extends PrunePlan {
  /** Temporary files and multipart uploads of dead runs that were removed. */
  unfinishedRemoved: number;
}

/**
 * Removes what no recovery point needs, in two phases: packs are condemned first, and removed by a later run when the grace
 * period is over and every run has ended that was under way then. In between they are pardoned when a point needs them after
 * all. Safe beside any backup, restore and verify, and wherever it is killed: docs/architecture.md tells why.
 * @throws PruneRunning; what `survey` throws for a damaged repository, before anything is removed; Interrupted
 */
export async function prune(repository: Repository, options: PruneOptions): Promise<PruneReport> {
  const lease = await acquireAlone(repository.storage, options.signal);
  try {
    const storage = repository.storage.until(options.signal);
    const uploads = await storage.beginUploads();
    try {
      return { unfinishedRemoved: uploads.removed, ...(await pruneAlone(storage, options)) };
    } finally {
      await uploads.end();
    }
  } finally {
    await lease.release();
  }
}

/** What `prune` would do now; changes nothing. @throws what `survey` throws */
export async function planPrune(repository: Repository, options: PruneOptions): Promise<PrunePlan> {
  const storage = repository.storage.until(options.signal);
  const due = await dueCondemnations(storage, options.graceMs);
  const found = await survey(storage, options.signal);
  return describe(found, sentence(found, due), choose(found, options));
}

async function pruneAlone(storage: Storage, options: PruneOptions): Promise<PrunePlan> {
  const { found, removed } = await sweep(storage, options);
  const choice = choose(found, options);
  await copyChunks(neededIn(choice.rewrite, found), {
    from: storage,
    loaded: found.loaded,
    to: storage,
    unindexed: [],
    ...options,
  });
  const condemned = [...choice.unneeded, ...choice.rewrite];
  if (condemned.length > 0)
    await condemn(
      storage,
      condemned.map(({ id }) => id),
    );
  const plan = describe(found, removed, choice);
  if (options.graceMs > 0 || condemned.length === 0) return plan;
  const second = await sweep(storage, options);
  return { ...plan, removed: totals([...removed, ...second.removed]) };
}

interface Choice {
  unneeded: PackUsage[];
  rewrite: PackUsage[];
}

/** Packs that nothing is needed of, and those worth rewriting: the emptiest first, up to the limit. */
function choose({ packs }: Survey, { rewriteBelowPercent, maxRewriteBytes }: PruneOptions): Choice {
  const candidates = packs.filter(({ isCondemned }) => !isCondemned);
  const share = ({ liveBytes, sizeBytes }: PackUsage) => liveBytes / sizeBytes;
  const wasteful = candidates
    .filter((pack) => pack.liveBytes > 0 && share(pack) * 100 < rewriteBelowPercent)
    .sort((a, b) => share(a) - share(b));
  let copiedBytes = 0;
  const rewrite = wasteful.filter(({ liveBytes }) => {
    if (copiedBytes + liveBytes > maxRewriteBytes) return false;
    copiedBytes += liveBytes;
    return true;
  });
  return { unneeded: candidates.filter(({ liveBytes }) => liveBytes === 0), rewrite };
}

/** Index entries of the needed chunks that are read from these packs. */
function* neededIn(packs: PackUsage[], { loaded, owners }: Survey): Iterable<number> {
  const ids = new Set(packs.map(({ id }) => id));
  const isOneOf = Array.from({ length: loaded.packs.count }, (_, number) => ids.has(loaded.packs.id(number)));
  for (let entry = 0; entry < loaded.index.size; entry++) {
    if (isOneOf[loaded.index.packNumber(entry)] && owners.isNeeded(entry)) yield entry;
  }
}

function describe({ packs }: Survey, removed: PackUsage[], { unneeded, rewrite }: Choice): PrunePlan {
  const condemned = [...unneeded, ...rewrite];
  const gone = new Set([...removed, ...condemned]);
  return {
    removed: totals(removed),
    condemned: totals(condemned),
    rewritten: totals(rewrite),
    waiting: totals(packs.filter((pack) => pack.isCondemned && !gone.has(pack))),
    kept: totals(packs.filter((pack) => !pack.isCondemned && !gone.has(pack))),
    neededBytes: packs.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
  };
}

function totals(packs: PackUsage[]): PackTotals {
  return { packs: packs.length, bytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

/** Of two that begin at once each may see the other, and then neither runs. @throws PruneRunning */
async function acquireAlone(storage: Storage, signal: AbortSignal): Promise<Lease> {
  const lease = await Lease.acquire(storage, "prune", signal);
  try {
    for (const other of await listLeases(storage)) {
      if (other.purpose !== "prune" || other.id === lease.record.id) continue;
      if (await isLeaseAlive(storage, other)) throw pruneRunning(other.owner);
    }
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

function pruneRunning(owner: string): BlockferryError {
  return new BlockferryError({
    code: "PruneRunning",
    message: `Another process (${owner}) prunes this repository.`,
    remedy:
      "Wait until it has ended. One that was killed on another machine counts as dead six hours after its last sign.",
  });
}
