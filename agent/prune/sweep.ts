import {
  type Condemnation,
  endCondemnation,
  listCondemnations,
  recordRuns,
  writeCondemnation,
} from "../../repository/condemnation.js";
import {
  isLeaseAlive,
  type Lease,
  listLeases,
  removeLease,
  removeStrayBeats,
} from "../../repository/lease.js";
import { packIdOf, packKey } from "../../repository/pack-format.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type PackUsage, type Survey, survey } from "../survey.js";
import { mergeIndex } from "./merge-index.js";

export interface Swept {
  /** What the repository held before. */
  found: Survey;
  /** What of that is gone. */
  removed: PackUsage[];
}

/**
 * Removes condemned packs whose time has come, and pardons those that a recovery point needs. The order is what makes it
 * safe: dead runs lose their leases before the points are listed, and packs leave the index before they go.
 */
export async function sweep(storage: Storage, lease: Lease, signal: AbortSignal): Promise<Swept> {
  await removeDeadLeases(storage);
  const condemnations = await listCondemnations(storage);
  const judgeable: Condemnation[] = [];
  for (const condemnation of condemnations) {
    const witnesses = await recordRuns(storage, condemnation.id, "witnesses");
    if (await haveEnded(storage, witnesses)) judgeable.push(condemnation);
  }
  const found = await survey(storage, signal);
  await pardon(storage, found, condemnations);
  const due: Condemnation[] = [];
  for (const condemnation of judgeable) {
    const readers = await recordRuns(storage, condemnation.id, "readers");
    if (await haveEnded(storage, readers)) due.push(condemnation);
  }
  const removed = await unlocked(storage, condemnedBy(found, due));
  await storage.makeDurable(found.loaded.unindexedPacks.map(({ id }) => packKey(id)));
  await lease.assertHeld();
  await mergeIndex(storage, new Set([...removed.map(({ id }) => id), ...missingPacks(found)]));
  await lease.assertHeld();
  await storage.delete(removed.map(({ id }) => packKey(id)));
  for (const { id } of due) await endCondemnation(storage, id);
  return { found, removed };
}

/** A run has ended when its lease is gone, and not before: a lease that still stands lets its run commit. */
async function haveEnded(storage: Storage, leases: string[]): Promise<boolean> {
  if (leases.length === 0) return true;
  const standing = new Set((await listLeases(storage)).map(({ id }) => id));
  return leases.every((id) => !standing.has(id));
}

/** What is needed is no longer condemned, whether its condemnation is due or not: backups may rely on it again. */
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
  return packs.filter(({ id }) => ids.has(id));
}

/** A backup may have locked a pack since it was condemned; it stays, and is condemned no more when its condemnation ends. */
async function unlocked(storage: Storage, packs: PackUsage[]): Promise<PackUsage[]> {
  const until = await storage.lockedUntil(packs.map(({ id }) => packKey(id)));
  return packs.filter(({ id }) => !until.has(packKey(id)));
}

async function removeDeadLeases(storage: Storage): Promise<void> {
  for (const lease of await listLeases(storage)) {
    if (!(await isLeaseAlive(storage, lease))) await removeLease(storage, lease.id);
  }
  await removeStrayBeats(storage);
}

/** Packs that a segment lists and that are gone, though nothing is needed of them: the index forgets them. */
function missingPacks({ loaded }: Survey): string[] {
  return loaded.problems.map(({ object }) => packIdOf(object ?? "")).filter((id) => id !== undefined);
}
