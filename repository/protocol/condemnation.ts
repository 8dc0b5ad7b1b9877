import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import type { BlockferryError } from "../../foundation/errors.js";
import { POINT_ID, pointKey } from "../format/recovery-point.js";
import { sealJson } from "../format/sealed-json.js";
import { readPoint } from "../points/points.js";
import { readNamed, readOrNote, readSealed, readSealedIfThere } from "../storage/read-document.js";
import type { Storage } from "../storage/storage.js";
import { judgeNames, unknownKeys } from "../storage/unknown-names.js";
import { listLeases, readLockDocument, type StandingLease } from "./lease.js";

const FOLDER = "prune/";
const KEY = /^prune\/([0-9a-f]{16})\.json$/;

const RUNS_KEY = /^prune\/[0-9a-f]{16}-(witnesses|readers)\.json$/;

const PACK_ID = /^[0-9a-f]{32}$/;

/** Checked as one value: with millions of ids, one issue for each invalid id would take gigabytes. */
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
 * Runs that `prune` waits for. The `witnesses` had started when the condemnation became durable, and may
 * start to rely on the packs. The `readers` had started when the packs were first found unneeded after that,
 * and may still read them.
 */
export type WaitedFor = "witnesses" | "readers";

/** Packs that will be removed. Once it is stored, no backup that starts later relies on them. */
export type Condemnation = z.infer<typeof CondemnationSchema>;

export async function condemn(storage: Storage, packs: string[]): Promise<void> {
  const id = randomBytes(8).toString("hex");
  await writeCondemnation(storage, { version: 1, id, condemnedAt: new Date().toISOString(), packs });
  await recordRuns(storage, id, "witnesses");
}

/** Replaces a condemnation, for example without the packs that are pardoned. */
export function writeCondemnation(storage: Storage, condemnation: Condemnation): Promise<void> {
  return storage.put(condemnationKey(condemnation.id), sealJson(condemnation));
}

interface CondemnationList {
  /** Oldest first. */
  condemnations: Condemnation[];
  /**
   * Errors of unreadable condemnations. Their packs are unknown: `prune` removes no packs because of them, so
   * backups may rely on all packs (README.md).
   */
  unreadable: BlockferryError[];
}

export async function listCondemnations(storage: Storage): Promise<CondemnationList> {
  const list: CondemnationList = { condemnations: [], unreadable: [] };
  const objects = await storage.list(FOLDER);
  for (const { key } of objects) {
    if (!KEY.test(key)) continue;
    const found = await readOrNote(list.unreadable, () => readCondemnation(storage, key));
    if (found !== undefined) list.condemnations.push(found);
  }
  const isKnown = (key: string) => KEY.test(key) || RUNS_KEY.test(key) || key === NOTICED_KEY;
  const unknown = await judgeNames(storage, unknownKeys(objects, isKnown));
  if (unknown?.mayBeDocument) list.unreadable.push(unknown.error);
  list.condemnations.sort((a, b) => (a.condemnedAt < b.condemnedAt ? -1 : 1));
  return list;
}

/**
 * Records the current runs, unless that is already done. A later record, after a kill, only makes the list
 * longer. An unreadable lease also counts as a run.
 * @returns ids of their leases
 * @throws ObjectCorrupt, RepositoryUnsupported when the list exists and cannot be read
 */
async function recordRuns(storage: Storage, id: string, which: WaitedFor): Promise<string[]> {
  const key = runsKey(id, which);
  const known = await readSealedIfThere(storage, key, RunsSchema);
  if (known !== undefined) return known.leases;
  const { leases: all, unreadableIds } = await listLeases(storage);
  const runs = all.filter(({ purpose }) => purpose !== "prune");
  const leases = [...runs.map((lease) => lease.id), ...unreadableIds];
  await storage.put(key, sealJson({ version: 1, leases }));
  return leases;
}

/**
 * Returns the runs that must end before the packs of a condemnation may go. The stored list is not trusted: a
 * planted one can leave runs out. So each lease that the storage received before the condemnation, or before
 * the list of readers, also counts. Those times are the storage's own.
 * @returns ids of the leases that still exist
 * @throws ObjectCorrupt, RepositoryUnsupported when the list exists and cannot be read
 */
export async function runsToWaitFor(storage: Storage, id: string, which: WaitedFor): Promise<string[]> {
  const listed = new Set(await recordRuns(storage, id, which));
  const decisive = which === "witnesses" ? condemnationKey(id) : runsKey(id, which);
  const receivedAt = (await storage.list(FOLDER)).find(({ key }) => key === decisive)?.modifiedAt;
  const { leases, unreadableIds } = await listLeases(storage);
  const isBefore = (lease: StandingLease) =>
    receivedAt !== undefined && lease.receivedAt !== undefined && lease.receivedAt <= receivedAt;
  const waitedFor = leases.filter(
    (lease) => listed.has(lease.id) || (lease.purpose !== "prune" && isBefore(lease)),
  );
  return [...unreadableIds, ...waitedFor.map((lease) => lease.id)];
}

/**
 * Removes a condemnation whose packs are gone or pardoned. The condemnation itself goes last, so that a kill
 * leaves nothing unlisted.
 */
export async function endCondemnation(storage: Storage, id: string): Promise<void> {
  await storage.delete([runsKey(id, "witnesses"), runsKey(id, "readers")]);
  await storage.delete([condemnationKey(id)]);
}

/** Returns whether a condemnation still exists and names these packs; checked right before their removal. */
export async function stillCondemns(storage: Storage, { id, packs }: Condemnation): Promise<boolean> {
  const found = await readOrNote([], () => readCondemnation(storage, condemnationKey(id)));
  const named = new Set(found?.packs);
  return packs.every((pack) => named.has(pack));
}

/** Reads a document below `prune/`. @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported */
function readPruneDocument(storage: Storage, key: string): Promise<unknown> | undefined {
  if (KEY.test(key)) return readCondemnation(storage, key);
  if (RUNS_KEY.test(key)) return readSealed(storage, key, RunsSchema);
  return key === NOTICED_KEY ? readSealed(storage, key, NoticedSchema) : undefined;
}

function readCondemnation(storage: Storage, key: string): Promise<Condemnation> {
  return readNamed(storage, key, CondemnationSchema, condemnationKey);
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
  /** Time at which each pack was first found to be unneeded or wasteful, by pack id. */
  packs: z.custom<Record<string, string>>(isTimesByPack, "not all are times of packs"),
});

function isTimesByPack(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const times = value as Record<string, unknown>;
  return Object.keys(times).every((id) => PACK_ID.test(id) && TIME.safeParse(times[id]).success);
}

/**
 * Returns the time since when `prune` has found packs worth removing. Backups may still rely on them until
 * they are condemned. If the times cannot be read, the grace period of all packs starts again.
 * @param unreadable gets the error
 */
export async function readNoticed(
  storage: Storage,
  unreadable: BlockferryError[],
): Promise<Record<string, string>> {
  const noticed = await readOrNote(unreadable, () => readSealed(storage, NOTICED_KEY, NoticedSchema));
  return noticed?.packs ?? {};
}

export async function writeNoticed(storage: Storage, packs: Record<string, string>): Promise<void> {
  if (Object.keys(packs).length === 0) await storage.delete([NOTICED_KEY]);
  else await storage.put(NOTICED_KEY, sealJson({ version: 1, packs }));
}

/**
 * Folders of documents, and the reader for each. A reader returns undefined for an object that is not one of
 * its documents.
 */
const READERS = {
  "locks/": readLockDocument,
  "prune/": readPruneDocument,
  "points/": readPointDocument,
} as const;

type DocumentFolder = keyof typeof READERS;

/** Returns the errors of unusable documents in these folders; each error names one document. */
export async function findUnreadable(
  storage: Storage,
  folders: readonly DocumentFolder[],
): Promise<BlockferryError[]> {
  const unreadable: BlockferryError[] = [];
  for (const folder of folders) {
    for (const { key } of await storage.list(folder))
      await readOrNote(unreadable, async () => READERS[folder](storage, key));
  }
  return unreadable;
}

/** Returns the error of one document. @returns undefined when it is usable or gone */
export async function whyUnreadable(storage: Storage, key: string): Promise<BlockferryError | undefined> {
  const folder = key.slice(0, key.indexOf("/") + 1) as DocumentFolder;
  const unreadable: BlockferryError[] = [];
  await readOrNote(unreadable, async () => READERS[folder](storage, key));
  return unreadable[0];
}

function readPointDocument(storage: Storage, key: string): Promise<unknown> | undefined {
  const id = key.slice("points/".length, -".json".length);
  return POINT_ID.test(id) && pointKey(id) === key ? readPoint(storage, key) : undefined;
}
