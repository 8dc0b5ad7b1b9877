import { BlockferryError } from "../../foundation/errors.js";
import { type IndexSegment, isIndexKey, packsOf } from "../../repository/format/index-segment.js";
import { packIdOf, packKey } from "../../repository/format/pack.js";
import { readIndexSegment, writeIndexSegment } from "../../repository/index/segments.js";
import {
  type Condemnation,
  endCondemnation,
  listCondemnations,
  runsToWaitFor,
  stillCondemns,
  type WaitedFor,
  writeCondemnation,
} from "../../repository/protocol/condemnation.js";
import {
  isLeaseAlive,
  type Lease,
  listLeases,
  removeLease,
  removeStrayBeats,
} from "../../repository/protocol/lease.js";
import { readOrNote } from "../../repository/storage/read-document.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { SegmentBatch } from "../backup/index-checkpoints.js";
import { proveElsewhere } from "../verify/prove-places.js";
import { type PackUsage, type Survey, survey } from "./survey.js";

/** Packs that may be removed: each needed chunk in them was read and proven elsewhere. */
export interface ProvenToGo {
  removed: PackUsage[];
  /** Damage found by the proof. */
  problems: BlockferryError[];
}

/** The result of a sweep; `removed` lists packs that are gone. */
interface Swept extends ProvenToGo {
  /** The contents of the repository before the sweep. */
  found: Survey;
  /** Errors of leases and condemnations that cannot be read. Packs that these could protect stay. */
  unreadable: BlockferryError[];
}

/**
 * Removes condemned packs that are due, and pardons packs that a recovery point needs.
 * The order makes it safe: dead runs lose their leases before the points are listed, and packs leave the
 * index before they are removed.
 */
export async function sweep(
  storage: Storage,
  lease: Lease,
  leaving: ReadonlySet<string>,
  options: SweepOptions,
): Promise<Swept> {
  const leases = await removeDeadLeases(storage);
  const { condemnations, unreadable } = await listCondemnations(storage);
  unreadable.push(...leases);
  /** A run has ended only when its lease is gone: a lease that still exists lets its run commit. */
  const haveEnded = async (which: WaitedFor, { id }: Condemnation) =>
    (await readOrNote(unreadable, () => runsToWaitFor(storage, id, which)))?.length === 0;
  const judgeable: Condemnation[] = [];
  for (const condemnation of condemnations) {
    if (await haveEnded("witnesses", condemnation)) judgeable.push(condemnation);
  }
  const found = await surveyToPrune(storage, leaving, options);
  await pardon(storage, found, condemnations);
  const due: Condemnation[] = [];
  for (const condemnation of judgeable) {
    if (await haveEnded("readers", condemnation)) due.push(condemnation);
  }
  const candidates = await unlocked(storage, condemnedBy(found, due));
  const { removed, problems } = await provenToGo(found, candidates, options.signal);
  await storage.makeDurable(found.stored.unindexedPacks.map(({ id }) => packKey(id)));
  await lease.assertHeld();
  await mergeIndex(storage, new Set([...removed.map(({ id }) => id), ...missingPacks(found)]));
  await lease.assertHeld();
  const gone = await removeCondemned(storage, removed, due);
  return { found, removed: gone, problems, unreadable };
}

interface SweepOptions {
  /** See `PruneOptions`. */
  allowNoPoints: boolean;
  signal: AbortSignal;
}

/**
 * Surveys a repository that is about to lose packs.
 * @throws NoPoints with packs and no recovery point, unless that is allowed; the errors of `survey`
 */
export async function surveyToPrune(
  storage: Storage,
  leaving: ReadonlySet<string>,
  { allowNoPoints, signal }: SweepOptions,
): Promise<Survey> {
  const found = await survey(storage, signal, leaving);
  if (found.points.length > 0 || found.packs.length === 0 || allowNoPoints) return found;
  throw new BlockferryError({
    code: "NoPoints",
    message: `${storage.name} has ${found.packs.length} packs and no recovery point: \`prune\` would remove all of them.`,
    remedy:
      "Nothing was removed. If the first backup has not finished yet, wait for it. If you have forgotten all points, add --allow-no-points. Otherwise the points are hidden or were removed: look into the folder points/, and find out why.",
    object: storage.name,
  });
}

/**
 * Removes the packs of condemnations that can still be read: a backup that cannot read one relies on its
 * packs.
 * @returns the removed packs
 */
async function removeCondemned(
  storage: Storage,
  packs: PackUsage[],
  due: Condemnation[],
): Promise<PackUsage[]> {
  const certain: Condemnation[] = [];
  for (const condemnation of due) if (await stillCondemns(storage, condemnation)) certain.push(condemnation);
  const ids = new Set(certain.flatMap((condemnation) => condemnation.packs));
  const gone = packs.filter(({ id }) => ids.has(id));
  await storage.delete(gone.map(({ id }) => packKey(id)));
  for (const { id } of certain) await endCondemnation(storage, id);
  return gone;
}

/**
 * Proves which candidates can be removed. A pack found to be needed is no longer condemned: its condemnation
 * ends with this run.
 */
export async function provenToGo(
  { stored, owners }: Survey,
  candidates: PackUsage[],
  signal: AbortSignal,
): Promise<ProvenToGo> {
  const { mustStay, problems } = await proveElsewhere(
    candidates.map(({ id }) => id),
    { stored, isNeeded: (entry) => owners.isNeeded(entry), signal },
  );
  for (const pack of candidates) if (mustStay.has(pack.id)) pack.isCondemned = false;
  return { removed: candidates.filter(({ id }) => !mustStay.has(id)), problems };
}

/** Pardons every needed pack, even if its condemnation is not due: backups may rely on it again. */
async function pardon(storage: Storage, { packs }: Survey, condemnations: Condemnation[]): Promise<void> {
  const needed = packs.filter(({ isCondemned, liveBytes }) => isCondemned && liveBytes > 0);
  const pardoned = new Set(needed.map(({ id }) => id));
  for (const condemnation of condemnations) {
    const left = condemnation.packs.filter((id) => !pardoned.has(id));
    if (left.length === condemnation.packs.length) continue;
    condemnation.packs = left;
    await writeCondemnation(storage, condemnation);
  }
  for (const pack of needed) pack.isCondemned = false;
}

function condemnedBy({ packs }: Survey, condemnations: Condemnation[]): PackUsage[] {
  const ids = new Set(condemnations.flatMap((condemnation) => condemnation.packs));
  return packs.filter(({ id, isKnown }) => isKnown && ids.has(id));
}

/**
 * Returns the packs that are not locked. A backup may have locked a condemned pack; it stays, until its
 * condemnation ends.
 */
async function unlocked(storage: Storage, packs: PackUsage[]): Promise<PackUsage[]> {
  const until = await storage.lockedUntil(packs.map(({ id }) => packKey(id)));
  return packs.filter(({ id }) => !until.has(packKey(id)));
}

/**
 * Removes the leases of dead runs.
 * @returns errors of leases and heartbeats that cannot be read; these stay
 */
async function removeDeadLeases(storage: Storage): Promise<BlockferryError[]> {
  const { leases, unreadable } = await listLeases(storage);
  for (const lease of leases) {
    if (!(await isLeaseAlive(storage, lease, unreadable))) await removeLease(storage, lease.id);
  }
  await removeStrayBeats(storage);
  return unreadable;
}

/** Returns listed packs that are gone and not needed; the index drops them. */
function missingPacks({ stored }: Survey): string[] {
  return stored.problems
    .filter(({ code }) => code === "PackMissing")
    .map(({ object }) => packIdOf(object ?? ""))
    .filter((id) => id !== undefined);
}

/** Segments that list fewer packs than this are merged once there are more than 32 of them. */
const SMALL_SEGMENT_PACKS = 16;
const MAX_SMALL_SEGMENTS = 32;

/**
 * Rewrites segments that list removed packs, and merges small segments.
 * Small segments are merged once there are many. A segment is removed when its packs are in a new one, so a
 * reader always finds every pack.
 */
export async function mergeIndex(storage: Storage, removed: Set<string>): Promise<void> {
  const keys = (await storage.list("index/")).map(({ key }) => key).filter(isIndexKey);
  const outdated: string[] = [];
  const small: string[] = [];
  for (const key of keys) {
    const packs = await packsIn(storage, key);
    if (packs.some(({ id }) => removed.has(id))) outdated.push(key);
    else if (packs.length > 0 && packs.length < SMALL_SEGMENT_PACKS) small.push(key);
  }
  const merged = small.length > MAX_SMALL_SEGMENTS ? [...outdated, ...small] : outdated;
  const batch = new Batch(storage);
  for (const key of merged) await batch.add(key, await readIndexSegment(storage, key), removed);
  await batch.flush();
}

/** @returns no packs for a segment that cannot be read: it stays, and its packs are in no new segment */
async function packsIn(storage: Storage, key: string): Promise<IndexSegment["packs"]> {
  try {
    return (await readIndexSegment(storage, key)).packs;
  } catch (error) {
    if (!provesLoss(error)) throw error;
    return [];
  }
}

/** Segments whose packs go into one new segment. */
class Batch {
  private keys: string[] = [];
  private readonly packs = new SegmentBatch();

  constructor(private readonly storage: Storage) {}

  async add(key: string, segment: IndexSegment, removed: Set<string>): Promise<void> {
    this.keys.push(key);
    for (const pack of packsOf(segment)) if (!removed.has(pack.id)) this.packs.add(pack);
    if (this.packs.isFull) await this.flush();
  }

  async flush(): Promise<void> {
    const packs = this.packs.take();
    const written = packs.length === 0 ? undefined : await writeIndexSegment(this.storage, packs);
    await this.storage.delete(this.keys.filter((key) => key !== written));
    this.keys = [];
  }
}
