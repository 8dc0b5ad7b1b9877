import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { OWNER_TOKEN, ownerState } from "../../foundation/owner-token.js";
import { sealJson } from "../format/sealed-json.js";
import { storageTime } from "../points/point-dates.js";
import { readNamed, readOrNote, readSealed } from "../storage/read-document.js";
import { isThere } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { judgeNames, unknownKeys } from "../storage/unknown-names.js";

const FOLDER = "locks/";
const LEASE_KEY = /^locks\/([0-9a-f]{16})\.json$/;
const BEAT_KEY = /^locks\/[0-9a-f]{16}\.beat$/;
const BEAT_MS = 5 * 60 * 1000;
/**
 * A run without a sign of life for this long counts as dead. A run that is alive after all notices that its
 * lease is gone.
 */
const EXPIRES_MS = 6 * 60 * 60 * 1000;

/** How long a run waits at its end for its lease to be removed. */
const RELEASE_MS = 5000;

const PURPOSES = ["backup", "read", "prune"] as const;
type LeasePurpose = (typeof PURPOSES)[number];

const LeaseSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  purpose: z.enum(PURPOSES),
  owner: z.string(),
  createdAt: z.iso.datetime(),
});
const BeatSchema = z.strictObject({ at: z.iso.datetime() });

type LeaseRecord = z.infer<typeof LeaseSchema>;

/**
 * Records that a run relies on the contents of the repository: `prune` removes nothing that a run with a
 * lease may have seen. The run writes it before it looks at anything else. The object is never written again,
 * so that it stays gone after another process has removed it. Signs of life go into a separate object.
 */
export class Lease {
  private readonly beating: NodeJS.Timeout;

  private constructor(
    /** Not bound to any signal: the run commits and ends with it. */
    readonly storage: Storage,
    readonly record: LeaseRecord,
  ) {
    this.beating = setInterval(() => this.beat(), BEAT_MS);
    this.beating.unref();
  }

  static async acquire(storage: Storage, purpose: LeasePurpose, signal?: AbortSignal): Promise<Lease> {
    const id = randomBytes(8).toString("hex");
    const createdAt = new Date().toISOString();
    const record: LeaseRecord = { version: 1, id, purpose, owner: OWNER_TOKEN, createdAt };
    const acquiring = signal === undefined ? storage : storage.until(signal);
    await acquiring.put(leaseKey(id), sealJson(record), { ifNoneMatch: "*" });
    return new Lease(storage, record);
  }

  /**
   * Checks that the lease still exists.
   * @throws LeaseLost when another process considered this run dead: data that it relies on may be gone
   */
  async assertHeld(): Promise<void> {
    const key = leaseKey(this.record.id);
    if (!(await isThere(this.storage, key))) throw leaseLost(key);
  }

  /**
   * Returns how far the storage's clock is ahead, in milliseconds. Measured with the lease, which must have
   * just been stored.
   * @returns undefined when the storage does not report when it received the lease
   */
  async storageClockLeadMs(): Promise<number | undefined> {
    const key = leaseKey(this.record.id);
    const stored = (await this.storage.list(FOLDER)).find((object) => object.key === key);
    const storedMs = stored === undefined ? undefined : storageTime(stored);
    return storedMs === undefined ? undefined : storedMs - Date.parse(this.record.createdAt);
  }

  /**
   * Removes the lease. Never throws, and returns within seconds: a lease that cannot be removed expires, which
   * a note on standard error says.
   */
  async release(): Promise<void> {
    clearInterval(this.beating);
    const releasing = this.storage.until(AbortSignal.timeout(RELEASE_MS));
    try {
      await removeLease(releasing, this.record.id);
    } catch (error) {
      const { message } = asBlockferryError(error);
      process.stderr.write(
        `note: ${leaseKey(this.record.id)} in ${this.storage.name} could not be removed, so \`prune\` waits for this run until the lease expires, six hours after its last heartbeat: ${message}\n`,
      );
    }
  }

  private beat(): void {
    const body = sealJson({ at: new Date().toISOString() });
    void this.storage.put(beatKey(this.record.id), body).catch(() => undefined);
  }
}

/** A lease, and the time at which the storage received it; undefined when the storage does not report it. */
export type StandingLease = LeaseRecord & { receivedAt: Date | undefined };

interface LeaseList {
  leases: StandingLease[];
  /**
   * Ids of existing leases that cannot be read, and keys of objects that may be leases under wrong names.
   * Each may belong to a run that is alive, of any purpose.
   */
  unreadableIds: string[];
  /** Errors of these leases. */
  unreadable: BlockferryError[];
}

export async function listLeases(storage: Storage): Promise<LeaseList> {
  const list: LeaseList = { leases: [], unreadableIds: [], unreadable: [] };
  const objects = await storage.list(FOLDER);
  for (const { key, modifiedAt } of objects) {
    const [, id] = LEASE_KEY.exec(key) ?? [];
    if (id === undefined) continue;
    const known = list.unreadable.length;
    const lease = await readOrNote(list.unreadable, () => readLease(storage, key));
    if (lease !== undefined) list.leases.push({ ...lease, receivedAt: modifiedAt });
    else if (list.unreadable.length > known) list.unreadableIds.push(id);
  }
  const strange = unknownKeys(objects, (key) => LEASE_KEY.test(key) || BEAT_KEY.test(key));
  const unknown = await judgeNames(storage, strange);
  if (unknown?.mayBeDocument) {
    list.unreadable.push(unknown.error);
    list.unreadableIds.push(...strange);
  }
  return list;
}

/** Removes signs of life whose lease is gone: one may have been on its way when its run ended. */
export async function removeStrayBeats(storage: Storage): Promise<void> {
  const keys = new Set((await storage.list(FOLDER)).map(({ key }) => key));
  const strays = [...keys].filter((key) => BEAT_KEY.test(key) && !keys.has(key.replace(/beat$/, "json")));
  if (strays.length > 0) await storage.delete(strays);
}

/**
 * Returns whether the run of a lease counts as alive. For a run on this machine it is certain when the
 * process is gone. A running process proves nothing, since another process may have the number now. An
 * unreadable sign of life may be new.
 * @param unreadable gets the error of such a sign
 */
export async function isLeaseAlive(
  storage: Storage,
  lease: LeaseRecord,
  unreadable: BlockferryError[] = [],
): Promise<boolean> {
  if (ownerState(lease.owner) === "gone") return false;
  const known = unreadable.length;
  const beat = await readOrNote(unreadable, () => readBeat(storage, beatKey(lease.id)));
  if (unreadable.length > known) return true;
  return Math.abs(Date.now() - Date.parse(beat?.at ?? lease.createdAt)) < EXPIRES_MS;
}

export function removeLease(storage: Storage, id: string): Promise<void> {
  return storage.delete([leaseKey(id), beatKey(id)]);
}

/**
 * Reads the document of a lease, or its last sign of life.
 * @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported
 */
export function readLockDocument(storage: Storage, key: string): Promise<unknown> | undefined {
  if (LEASE_KEY.test(key)) return readLease(storage, key);
  return BEAT_KEY.test(key) ? readBeat(storage, key) : undefined;
}

function readLease(storage: Storage, key: string): Promise<LeaseRecord> {
  return readNamed(storage, key, LeaseSchema, leaseKey);
}

function readBeat(storage: Storage, key: string): Promise<z.infer<typeof BeatSchema>> {
  return readSealed(storage, key, BeatSchema);
}

function leaseKey(id: string): string {
  return `${FOLDER}${id}.json`;
}

function beatKey(id: string): string {
  return `${FOLDER}${id}.beat`;
}

function leaseLost(key: string): BlockferryError {
  return new BlockferryError({
    code: "LeaseLost",
    message: `${key} is gone: another run took this one for dead, and may have removed data that it relies on.`,
    remedy: "Nothing is lost, but this run does not count. Run it again; it stores only the missing data.",
    object: key,
  });
}

/**
 * Acquires the lease of a run that rewrites the index or removes packs.
 * Only one such run exists at a time; other operations may run alongside. If two start at once, each may see
 * the other, and then neither runs. A lease that cannot be read does not stop this: `prune` then removes
 * nothing, in case it belongs to such a run.
 * @throws PruneRunning
 */
export async function acquireExclusive(storage: Storage, signal: AbortSignal): Promise<Lease> {
  const lease = await Lease.acquire(storage, "prune", signal);
  try {
    for (const other of (await listLeases(storage)).leases) {
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
    message: `Another process (${owner}) is pruning this repository or repairing its index.`,
    remedy:
      "Wait until it has ended. A process that was killed on another machine counts as dead six hours after its last heartbeat.",
  });
}

/** Errors of a repository that cannot be written to. */
const NOT_WRITABLE: ReadonlySet<string> = new Set([
  "StorageDenied",
  "StorageFull",
  "StorageFailed",
  "StorageUnsuitable",
]);

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
      `${storage.name} cannot be written to (${error.code}), so only its grace period keeps \`prune\` from removing objects that are being read.`,
    );
    return undefined;
  }
}
