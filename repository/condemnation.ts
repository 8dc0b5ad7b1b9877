import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { listLeases } from "./lease.js";
import { readSealedIfThere } from "./read-sealed.js";
import { sealJson } from "./sealed-json.js";
import type { Storage } from "./storage/storage.js";

const FOLDER = "prune/";
const KEY = /^prune\/([0-9a-f]{16})\.json$/;

const PACK_ID = /^[0-9a-f]{32}$/;

/** Checked as one value: there may be millions, and an issue for each that is none would take gigabytes. */
const PackIdsSchema = z.custom<string[]>(
  (value) => Array.isArray(value) && value.every((id) => typeof id === "string" && PACK_ID.test(id)),
  "not all are ids of packs",
);

const CondemnationSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  condemnedAt: z.iso.datetime(),
  /** Ids of packs that no recovery point needed. */
  packs: PackIdsSchema,
});

const RunsSchema = z.strictObject({
  version: z.literal(1),
  /** Ids of leases. */
  leases: z.array(z.string()),
});

/**
 * Runs that are waited for: the `witnesses` had begun when the condemnation was durable, and may come to rely on the packs;
 * the `readers` had begun when these were first found unneeded after that, and may still read them.
 */
export type WaitedFor = "witnesses" | "readers";

/** Packs that are to be removed. From the moment it is there, no backup that begins relies on them. */
export type Condemnation = z.infer<typeof CondemnationSchema>;

export async function condemn(storage: Storage, packs: string[]): Promise<void> {
  const id = randomBytes(8).toString("hex");
  await writeCondemnation(storage, { version: 1, id, condemnedAt: new Date().toISOString(), packs });
  await recordRuns(storage, id, "witnesses");
}

/** Replaces it: packs that are pardoned are left out. */
export function writeCondemnation(storage: Storage, condemnation: Condemnation): Promise<void> {
  return storage.put(condemnationKey(condemnation.id), sealJson(condemnation));
}

/** Oldest first. @throws ObjectCorrupt */
export async function listCondemnations(storage: Storage): Promise<Condemnation[]> {
  const condemnations: Condemnation[] = [];
  for (const { key } of await storage.list(FOLDER)) {
    if (!KEY.test(key)) continue;
    const found = await readSealedIfThere(storage, key, CondemnationSchema);
    if (found !== undefined) condemnations.push(found);
  }
  return condemnations.sort((a, b) => (a.condemnedAt < b.condemnedAt ? -1 : 1));
}

/**
 * Writes down which runs there are, unless that is done already. A later look than the first, after a kill, makes the list
 * only longer.
 * @returns ids of their leases
 */
export async function recordRuns(storage: Storage, id: string, which: WaitedFor): Promise<string[]> {
  const key = runsKey(id, which);
  const known = await readSealedIfThere(storage, key, RunsSchema);
  if (known !== undefined) return known.leases;
  const runs = (await listLeases(storage)).filter(({ purpose }) => purpose !== "prune");
  const leases = runs.map((lease) => lease.id);
  await storage.put(key, sealJson({ version: 1, leases }));
  return leases;
}

/** Call it when the packs are gone or pardoned. The condemnation goes last, so that a kill leaves nothing unlisted. */
export async function endCondemnation(storage: Storage, id: string): Promise<void> {
  await storage.delete([runsKey(id, "witnesses"), runsKey(id, "readers")]);
  await storage.delete([condemnationKey(id)]);
}

function condemnationKey(id: string): string {
  return `${FOLDER}${id}.json`;
}

function runsKey(id: string, which: WaitedFor): string {
  return `${FOLDER}${id}-${which}.json`;
}

const NOTICED_KEY = `${FOLDER}noticed.json`;
const TIME = z.iso.datetime();
const NoticedSchema = z.strictObject({
  version: z.literal(1),
  /** When a pack was first found to be unneeded or wasteful, by its id. */
  packs: z.custom<Record<string, string>>(isTimesByPack, "not all are times of packs"),
});

function isTimesByPack(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const times = value as Record<string, unknown>;
  return Object.keys(times).every((id) => PACK_ID.test(id) && TIME.safeParse(times[id]).success);
}

/** Since when `prune` has found packs worth removing. Backups rely on them all the same until they are condemned. */
export async function readNoticed(storage: Storage): Promise<Record<string, string>> {
  return (await readSealedIfThere(storage, NOTICED_KEY, NoticedSchema))?.packs ?? {};
}

export async function writeNoticed(storage: Storage, packs: Record<string, string>): Promise<void> {
  if (Object.keys(packs).length === 0) await storage.delete([NOTICED_KEY]);
  else await storage.put(NOTICED_KEY, sealJson({ version: 1, packs }));
}
