import { BlockferryError, type ErrorRecord } from "../../foundation/errors.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import { packKey } from "../../repository/format/pack.js";
import type { Repository } from "../../repository/open/repository.js";
import { condemn, readNoticed, writeNoticed } from "../../repository/protocol/condemnation.js";
import { acquireExclusive, type Lease, listLeases } from "../../repository/protocol/lease.js";
import type { Storage } from "../../repository/storage/storage.js";
import { copyChunks } from "./copy-chunks.js";
import type { PackUsage, Survey } from "./survey.js";
import { type ProvenToGo, provenToGo, surveyToPrune, sweep } from "./sweep.js";

interface PruneOptions {
  /** How long packs worth removing stay, in addition to waiting for the runs that may rely on them. */
  graceMs: number;
  /** Packs with a smaller needed share than this are rewritten, in per cent. */
  rewriteBelowPercent: number;
  /** The most bytes that are copied by rewriting. */
  maxRewriteBytes: number;
  compression: Compression;
  /** Whether to go on with packs and no recovery point, and so to remove all packs. */
  allowNoPoints: boolean;
  signal: AbortSignal;
}

/** A number of packs, and their total bytes. */
export interface PackTotals {
  packs: number;
  bytes: number;
}

export interface PrunePlan {
  /** Removed packs; in a dry run, packs to remove as soon as no run is in progress. */
  removed: PackTotals;
  /** Condemned packs, which are removed when the runs that may rely on them have ended. */
  waiting: PackTotals;
  /** Packs to remove once the grace period is over. */
  noticed: PackTotals;
  /** Packs of which little was needed; the needed chunks were copied into new packs. */
  rewritten: PackTotals;
  /** Packs worth removing but locked; they are considered again when their locks have ended. */
  locked: PackTotals;
  /** All packs that stay, including the noticed ones. */
  kept: PackTotals;
  /** Stored bytes that recovery points need. */
  neededBytes: number;
  /**
   * Damage found. Packs with the only good copy of a chunk stay, as does every pack whose chunks are unknown.
   */
  problems: ErrorRecord[];
  /**
   * Errors of leases, condemnations and other documents that cannot be read. Packs that these could protect
   * stay.
   */
  unreadable: ErrorRecord[];
}

export interface PruneReport extends PrunePlan {
  /** Temporary files and multipart uploads of dead runs that were removed. */
  unfinishedRemoved: number;
}

/**
 * Removes packs that no recovery point needs.
 * A pack is first noticed, then condemned after the grace period, and removed when every run that may rely on
 * it has ended. If a point needs it after all, it is pardoned. A pack whose needed chunks are also in other
 * packs is removed only after they were read and proven there in this run. Safe alongside any backup, restore
 * and verify, and if killed at any time; docs/architecture.md has the reasons.
 * @throws PruneRunning; NoPoints and the errors of `survey`, before anything is removed; LeaseLost; Interrupted
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

/**
 * Returns what `prune` would do now if no run were in progress; changes nothing.
 * @throws NoPoints, the errors of `survey`
 */
export async function planPrune(repository: Repository, options: PruneOptions): Promise<PrunePlan> {
  const storage = repository.storage.until(options.signal);
  const unreadable: BlockferryError[] = [];
  const since = await readNoticed(storage, unreadable);
  const found = await surveyToPrune(storage, new Set(Object.keys(since)), options);
  const choice = await chooseUnlocked(storage, found, { ...options, since });
  const { ripe, rewrite } = choice;
  const condemned = found.packs.filter((pack) => pack.isKnown && pack.isCondemned && pack.liveBytes === 0);
  const unneeded = await provenToGo(found, [...condemned, ...ripe], options.signal);
  const { unreadable: leases } = await listLeases(storage);
  unreadable.push(...leases, ...found.stored.unreadable);
  const removed = leases.length > 0 ? [] : [...unneeded.removed, ...rewrite];
  return describe(found, { ...choice, ...unneeded, removed, unreadable });
}

async function pruneAlone(storage: Storage, lease: Lease, options: PruneOptions): Promise<PrunePlan> {
  const unreadable: BlockferryError[] = [];
  const since = await readNoticed(storage, unreadable);
  const leaving = new Set(Object.keys(since));
  const first = await sweep(storage, lease, leaving, options);
  const chosen = await chooseUnlocked(storage, first.found, { ...options, since });
  const { choice, full } = await rewriteIfRoom(storage, chosen, { ...options, found: first.found, since });
  const condemned = [...choice.ripe, ...choice.rewrite].map(({ id }) => id);
  if (condemned.length > 0) await condemn(storage, condemned);
  // A document of a later version stays, for that version to use.
  if (!unreadable.some(({ code }) => code === "RepositoryUnsupported"))
    await writeNoticed(storage, choice.noticed);
  unreadable.push(...first.unreadable);
  if (condemned.length === 0) {
    if (full !== undefined && first.removed.length === 0) throw full;
    return describe(first.found, { ...choice, ...first, unreadable });
  }
  const second = await sweep(storage, lease, leaving, options);
  const removed = [...first.removed, ...second.removed];
  return describe(second.found, { ...choice, removed, problems: second.problems, unreadable });
}

/**
 * Copies the needed chunks out of the packs to rewrite. On a full disk none of these is rewritten: this run
 * then only removes packs with nothing needed, and the next one has room.
 * @returns the choice that remains, and the error of the full disk
 */
async function rewriteIfRoom(
  storage: Storage,
  choice: Choice,
  { found, since, ...options }: PruneOptions & { found: Survey; since: Record<string, string> },
): Promise<{ choice: Choice; full?: BlockferryError }> {
  try {
    const from = found.stored;
    await copyChunks(neededIn(choice.rewrite, found), { ...options, from, to: storage, unindexed: [] });
    return { choice };
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code !== "StorageFull") throw error;
    const now = new Date().toISOString();
    const later = Object.fromEntries(choice.rewrite.map(({ id }) => [id, since[id] ?? now]));
    return { choice: { ...choice, rewrite: [], noticed: { ...choice.noticed, ...later } }, full: error };
  }
}

interface Choice {
  /** Packs with nothing needed, after the grace period. */
  ripe: PackUsage[];
  /** Packs worth rewriting, after the grace period. */
  rewrite: PackUsage[];
  /** The time since when each of the others has been worth removing. */
  noticed: Record<string, string>;
  /** Packs that would be removed or rewritten if they were not locked. */
  locked: PackUsage[];
}

/**
 * Chooses the packs to remove or rewrite, without locked ones.
 * With bucket versioning, removing a locked pack would hide it and free nothing; rewriting it would store its
 * chunks twice.
 */
async function chooseUnlocked(
  storage: Storage,
  found: Survey,
  { since, ...options }: PruneOptions & { since: Record<string, string> },
): Promise<Choice> {
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

/** Chooses packs by their needed bytes; of those to rewrite, the emptiest come first, up to the limit. */
function choose({ packs }: Survey, since: Record<string, string>, options: PruneOptions): Choice {
  const { graceMs, rewriteBelowPercent, maxRewriteBytes } = options;
  const now = new Date();
  const deadShare = ({ deadBytes, sizeBytes }: PackUsage) => deadBytes / sizeBytes;
  const candidates = packs
    .filter(({ isCondemned, isKnown }) => isKnown && !isCondemned)
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

/** Yields index entries of the needed chunks that are read from these packs. */
function* neededIn(packs: PackUsage[], { stored, owners }: Survey): Iterable<number> {
  const { index, packs: table } = stored;
  const ids = new Set(packs.map(({ id }) => id));
  const isOneOf = Array.from({ length: table.count }, (_, number) => ids.has(table.id(number)));
  for (let entry = 0; entry < index.size; entry++) {
    if (isOneOf[index.packNumber(entry)] && owners.isNeeded(entry)) yield entry;
  }
}

function describe(
  { packs, problems: damage, strange }: Survey,
  {
    removed,
    rewrite,
    noticed,
    locked,
    problems,
    unreadable,
  }: Choice & ProvenToGo & { unreadable: BlockferryError[] },
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
    problems: [...damage, ...problems].map((problem) => problem.toRecord()),
    unreadable: [...unreadable, ...strange].map((error) => error.toRecord()),
  };
}

function totals(packs: PackUsage[]): PackTotals {
  return { packs: packs.length, bytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
