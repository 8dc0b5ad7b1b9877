import type { Compression } from "../../repository/chunk-codec.js";
import { condemn, readNoticed, writeNoticed } from "../../repository/condemnation.js";
import type { Lease } from "../../repository/lease.js";
import { packKey } from "../../repository/pack-format.js";
import type { Repository } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { copyChunks } from "../copy-chunks.js";
import { acquireExclusive } from "../exclusive-lease.js";
import { type PackUsage, type Survey, survey } from "../survey.js";
import { sweep } from "./sweep.js";

export interface PruneOptions {
  /** How long packs stay that are worth removing, besides until all runs have ended that may rely on them. */
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
  /** Removed, or in a dry run: to be removed as soon as no run is under way. */
  removed: PackTotals;
  /** Condemned: they go when the runs have ended that are waited for. */
  waiting: PackTotals;
  /** Worth removing, once the grace period is over. */
  noticed: PackTotals;
  /** Packs that little was needed of: that was copied into new packs. */
  rewritten: PackTotals;
  /** Worth removing, and locked: they are looked at again when nobody keeps them any more. */
  locked: PackTotals;
  /** All that stay, those noticed included. */
  kept: PackTotals;
  /** Stored bytes that recovery points need. */
  neededBytes: number;
}

export interface PruneReport extends PrunePlan {
  /** Temporary files and multipart uploads of dead runs that were removed. */
  unfinishedRemoved: number;
}

/**
 * Removes what no recovery point needs. A pack is first noticed, after the grace period condemned, and removed when every run
 * has ended that may rely on it; whenever a point needs it after all, it is pardoned. Safe beside any backup, restore and
 * verify, and wherever it is killed: docs/architecture.md tells why.
 * @throws PruneRunning; what `survey` throws for a damaged repository, before anything is removed; LeaseLost; Interrupted
 */
export async function prune(repository: Repository, options: PruneOptions): Promise<PruneReport> {
  const lease = await acquireExclusive(repository.storage, options.signal);
  try {
    const storage = repository.storage.until(options.signal);
    const uploads = await storage.beginUploads();
    try {
      return { unfinishedRemoved: uploads.removed, ...(await pruneAlone(storage, lease, options)) };
    } finally {
      await uploads.end();
    }
  } finally {
    await lease.release();
  }
}

/** What `prune` would do now, if no run were under way; changes nothing. @throws what `survey` throws */
export async function planPrune(repository: Repository, options: PruneOptions): Promise<PrunePlan> {
  const storage = repository.storage.until(options.signal);
  const found = await survey(storage, options.signal);
  const choice = await chooseUnlocked(storage, found, options);
  const { ripe, rewrite } = choice;
  const condemned = found.packs.filter(({ isCondemned, liveBytes }) => isCondemned && liveBytes === 0);
  const removed = [...condemned, ...ripe, ...rewrite];
  return describe(found, { ...choice, removed });
}

async function pruneAlone(storage: Storage, lease: Lease, options: PruneOptions): Promise<PrunePlan> {
  const first = await sweep(storage, lease, options.signal);
  const choice = await chooseUnlocked(storage, first.found, options);
  const { ripe, rewrite } = choice;
  await copyChunks(neededIn(rewrite, first.found), {
    from: storage,
    loaded: first.found.loaded,
    to: storage,
    unindexed: [],
    ...options,
  });
  const condemned = [...ripe, ...rewrite].map(({ id }) => id);
  if (condemned.length > 0) await condemn(storage, condemned);
  await writeNoticed(storage, choice.noticed);
  if (condemned.length === 0) return describe(first.found, { ...choice, removed: first.removed });
  const second = await sweep(storage, lease, options.signal);
  return describe(second.found, { ...choice, removed: [...first.removed, ...second.removed] });
}

interface Choice {
  /** Nothing is needed of them, and the grace period is over. */
  ripe: PackUsage[];
  /** Worth rewriting, and the grace period is over. */
  rewrite: PackUsage[];
  /** Since when each of the others has been worth removing. */
  noticed: Record<string, string>;
  /** What would be removed or rewritten if it were not locked. */
  locked: PackUsage[];
}

/** Where versions are kept, removing a locked pack would hide it and free nothing; rewriting it would store its chunks twice. */
async function chooseUnlocked(storage: Storage, found: Survey, options: PruneOptions): Promise<Choice> {
  const since = await readNoticed(storage);
  const choice = choose(found, since, options);
  const chosen = [...choice.ripe, ...choice.rewrite];
  const until = await storage.lockedUntil(chosen.map(({ id }) => packKey(id)));
  const isFree = ({ id }: PackUsage) => !until.has(packKey(id));
  const locked = chosen.filter((pack) => !isFree(pack));
  const stillNoticed = locked.flatMap(({ id }) => (since[id] === undefined ? [] : [[id, since[id]]]));
  return {
    ripe: choice.ripe.filter(isFree),
    rewrite: choice.rewrite.filter(isFree),
    noticed: { ...choice.noticed, ...Object.fromEntries(stillNoticed) },
    locked,
  };
}

/** Of those worth rewriting the emptiest come first, up to the limit. */
function choose({ packs }: Survey, since: Record<string, string>, options: PruneOptions): Choice {
  const { graceMs, rewriteBelowPercent, maxRewriteBytes } = options;
  const now = new Date();
  const deadShare = ({ deadBytes, sizeBytes }: PackUsage) => deadBytes / sizeBytes;
  const candidates = packs
    .filter(({ isCondemned }) => !isCondemned)
    .filter((pack) => pack.liveBytes === 0 || deadShare(pack) * 100 > 100 - rewriteBelowPercent)
    .sort((a, b) => deadShare(b) - deadShare(a));
  const isRipe = ({ id }: PackUsage) => now.getTime() - Date.parse(since[id] ?? now.toISOString()) >= graceMs;
  let copiedBytes = 0;
  const chosen = candidates.filter(isRipe).filter(({ liveBytes }) => {
    if (copiedBytes + liveBytes > maxRewriteBytes) return false;
    copiedBytes += liveBytes;
    return true;
  });
  const goes = new Set(chosen);
  const others = candidates.filter((pack) => !goes.has(pack));
  return {
    ripe: chosen.filter(({ liveBytes }) => liveBytes === 0),
    rewrite: chosen.filter(({ liveBytes }) => liveBytes > 0),
    noticed: Object.fromEntries(others.map(({ id }) => [id, since[id] ?? now.toISOString()])),
    locked: [],
  };
}

/** Index entries of the needed chunks that are read from these packs. */
function* neededIn(packs: PackUsage[], { loaded, owners }: Survey): Iterable<number> {
  const ids = new Set(packs.map(({ id }) => id));
  const isOneOf = Array.from({ length: loaded.packs.count }, (_, number) => ids.has(loaded.packs.id(number)));
  for (let entry = 0; entry < loaded.index.size; entry++) {
    if (isOneOf[loaded.index.packNumber(entry)] && owners.isNeeded(entry)) yield entry;
  }
}

function describe(
  { packs }: Survey,
  { removed, rewrite, noticed, locked }: Choice & { removed: PackUsage[] },
): PrunePlan {
  const gone = new Set(removed.map(({ id }) => id));
  const left = packs.filter(({ id }) => !gone.has(id));
  const isLocked = new Set(locked.map(({ id }) => id));
  const isWaiting = ({ isCondemned, liveBytes }: PackUsage) => isCondemned && liveBytes === 0;
  const kept = left.filter((pack) => !isWaiting(pack));
  return {
    removed: totals(removed),
    waiting: totals(left.filter(isWaiting)),
    noticed: totals(kept.filter((pack) => pack.id in noticed && !isLocked.has(pack.id))),
    rewritten: totals(rewrite),
    locked: totals(locked),
    kept: totals(kept),
    neededBytes: packs.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
  };
}

function totals(packs: PackUsage[]): PackTotals {
  return { packs: packs.length, bytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
