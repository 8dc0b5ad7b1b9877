import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { listLeases } from "./lease.js";
import { sealJson, unsealJson } from "./sealed-json.js";
import { againIfDamaged } from "./storage/again-if-damaged.js";
import { undefinedIfAbsent } from "./storage/if-absent.js";
import type { Storage } from "./storage/storage.js";

const FOLDER = "prune/";
const KEY = /^prune\/([0-9a-f]{16})\.json$/;

const CondemnationSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  condemnedAt: z.iso.datetime(),
  /** Ids of packs that no recovery point needed. */
  packs: z.array(z.string().check(z.regex(/^[0-9a-f]{32}$/))),
});

const WitnessesSchema = z.strictObject({
  version: z.literal(1),
  /** Ids of the leases that there were when the condemnation was durable. */
  leases: z.array(z.string()),
});

/**
 * Packs that are to be removed. From the moment it is there, no backup that begins relies on them; the runs that had
 * begun before, its witnesses, may.
 */
export type Condemnation = z.infer<typeof CondemnationSchema>;

export async function condemn(storage: Storage, packs: string[]): Promise<Condemnation> {
  const id = randomBytes(8).toString("hex");
  const condemnation: Condemnation = { version: 1, id, condemnedAt: new Date().toISOString(), packs };
  await storage.put(condemnationKey(id), sealJson(condemnation), { ifNoneMatch: "*" });
  await recordWitnesses(storage, id);
  return condemnation;
}

/** Oldest first. @throws ObjectCorrupt */
export async function listCondemnations(storage: Storage): Promise<Condemnation[]> {
  const condemnations: Condemnation[] = [];
  for (const { key } of await storage.list(FOLDER)) {
    if (!KEY.test(key)) continue;
    const found = await undefinedIfAbsent(() =>
      againIfDamaged(async () => unsealJson(await storage.get(key), CondemnationSchema, key)),
    );
    if (found !== undefined) condemnations.push(found);
  }
  return condemnations.sort((a, b) => (a.condemnedAt < b.condemnedAt ? -1 : 1));
}

/**
 * Writes down which runs may rely on what is condemned, unless it is known already. It may be done late, for a prune that
 * was killed: the list is only longer then.
 */
export async function recordWitnesses(storage: Storage, id: string): Promise<void> {
  if ((await knownWitnesses(storage, id)) !== undefined) return;
  const runs = (await listLeases(storage)).filter(({ purpose }) => purpose !== "prune");
  await storage.put(witnessesKey(id), sealJson({ version: 1, leases: runs.map((lease) => lease.id) }));
}

/** Ids of the leases of the runs that may rely on what is condemned; undefined when nobody has written them down yet. */
export async function knownWitnesses(storage: Storage, id: string): Promise<string[] | undefined> {
  const key = witnessesKey(id);
  const witnesses = await undefinedIfAbsent(() =>
    againIfDamaged(async () => unsealJson(await storage.get(key), WitnessesSchema, key)),
  );
  return witnesses?.leases;
}

/** Call it when the packs are gone or pardoned. */
export function endCondemnation(storage: Storage, id: string): Promise<void> {
  return storage.delete([condemnationKey(id), witnessesKey(id)]);
}

function condemnationKey(id: string): string {
  return `${FOLDER}${id}.json`;
}

function witnessesKey(id: string): string {
  return `${FOLDER}${id}-witnesses.json`;
}
