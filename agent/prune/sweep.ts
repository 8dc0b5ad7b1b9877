import {
  type Condemnation,
  endCondemnation,
  knownWitnesses,
  listCondemnations,
  recordWitnesses,
} from "../../repository/condemnation.js";
import { isLeaseAlive, listLeases, removeLease, removeStrayBeats } from "../../repository/lease.js";
import { packIdOf, packKey } from "../../repository/pack-format.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type PackUsage, type Survey, survey } from "../survey.js";
import { mergeIndex } from "./merge-index.js";

export interface SweepOptions {
  graceMs: number;
  signal: AbortSignal;
}

/**
 * Removes condemned packs whose time has come, and pardons those that a recovery point needs. The order is what makes it
 * safe: dead runs lose their leases before the points are listed, and packs leave the index before they go.
 * @returns what the repository held before, and what of that is gone
 */
export async function sweep(
  storage: Storage,
  { graceMs, signal }: SweepOptions,
): Promise<{ found: Survey; removed: PackUsage[] }> {
  await removeDeadLeases(storage);
  for (const { id } of await listCondemnations(storage)) await recordWitnesses(storage, id);
  const due = await dueCondemnations(storage, graceMs);
  const found = await survey(storage, signal);
  const removed = sentence(found, due);
  await mergeIndex(storage, new Set([...removed.map(({ id }) => id), ...missingPacks(found)]));
  await storage.delete(removed.map(({ id }) => packKey(id)));
  for (const { id } of due) await endCondemnation(storage, id);
  return { found, removed };
}

/** Those whose grace period is over and whose witnesses have all ended. Looks, and changes nothing. */
export async function dueCondemnations(storage: Storage, graceMs: number): Promise<Condemnation[]> {
  const alive = new Set<string>();
  for (const lease of await listLeases(storage)) {
    if (await isLeaseAlive(storage, lease)) alive.add(lease.id);
  }
  const due: Condemnation[] = [];
  for (const condemnation of await listCondemnations(storage)) {
    if (Date.now() - Date.parse(condemnation.condemnedAt) < graceMs) continue;
    const witnesses = await knownWitnesses(storage, condemnation.id);
    if (witnesses?.every((lease) => !alive.has(lease))) due.push(condemnation);
  }
  return due;
}

/** Pardons the condemned packs that something is needed of. @returns the others, which are to be removed */
export function sentence({ packs }: Survey, due: Condemnation[]): PackUsage[] {
  const condemned = new Set(due.flatMap((condemnation) => condemnation.packs));
  const judged = packs.filter(({ id }) => condemned.has(id));
  for (const pack of judged) pack.isCondemned = pack.liveBytes === 0;
  return judged.filter(({ isCondemned }) => isCondemned);
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
