import { randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { OWNER_TOKEN, ownerState } from "../foundation/owner-token.js";
import { readSealedIfThere } from "./read-sealed.js";
import { sealJson, unsealJson } from "./sealed-json.js";
import { isThere, undefinedIfAbsent } from "./storage/if-absent.js";
import type { Storage } from "./storage/storage.js";

const FOLDER = "locks/";
const LEASE_KEY = /^locks\/([0-9a-f]{16})\.json$/;
const BEAT_MS = 5 * 60 * 1000;
/** A run that has given no sign for so long is dead; one that is not after all notices that its lease is gone. */
const EXPIRES_MS = 6 * 60 * 60 * 1000;

/** How long a run waits at its end for its lease to be removed. */
const RELEASE_MS = 5000;

const PURPOSES = ["backup", "read", "prune"] as const;
export type LeasePurpose = (typeof PURPOSES)[number];

const LeaseSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  purpose: z.enum(PURPOSES),
  owner: z.string(),
  createdAt: z.iso.datetime(),
});
const BeatSchema = z.strictObject({ at: z.iso.datetime() });

export type LeaseRecord = z.infer<typeof LeaseSchema>;

/**
 * Says that a run relies on what the repository holds: `prune` removes nothing that a run which holds a lease may have
 * seen. It is written before the run looks at anything else. The object is never written again, so that it is gone for
 * good when somebody has removed it; signs of life go into another one.
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

  /** @throws LeaseLost when somebody took this run for dead: what it relies on may be gone */
  async assertHeld(): Promise<void> {
    const key = leaseKey(this.record.id);
    if (!(await isThere(this.storage, key))) throw leaseLost(key);
  }

  /** Never fails, and soon ends: a lease that cannot be removed expires. */
  async release(): Promise<void> {
    clearInterval(this.beating);
    const releasing = this.storage.until(AbortSignal.timeout(RELEASE_MS));
    await removeLease(releasing, this.record.id).catch(() => undefined);
  }

  private beat(): void {
    const body = sealJson({ at: new Date().toISOString() });
    void this.storage.put(beatKey(this.record.id), body).catch(() => undefined);
  }
}

/** Every lease there is. @throws ObjectCorrupt */
export async function listLeases(storage: Storage): Promise<LeaseRecord[]> {
  const leases: LeaseRecord[] = [];
  for (const { key } of await storage.list(FOLDER)) {
    if (!LEASE_KEY.test(key)) continue;
    const lease = await readSealedIfThere(storage, key, LeaseSchema);
    if (lease !== undefined) leases.push(lease);
  }
  return leases;
}

/** Removes signs of life of leases that are gone: one may have been on its way when its run ended. */
export async function removeStrayBeats(storage: Storage): Promise<void> {
  const keys = new Set((await storage.list(FOLDER)).map(({ key }) => key));
  const strays = [...keys].filter((key) => key.endsWith(".beat") && !keys.has(key.replace(/beat$/, "json")));
  if (strays.length > 0) await storage.delete(strays);
}

/**
 * Whether the run that holds the lease is taken to be alive. Of one on this machine it is known when it is gone; another
 * process may have its number now, so that one runs proves nothing.
 */
export async function isLeaseAlive(storage: Storage, lease: LeaseRecord): Promise<boolean> {
  if (ownerState(lease.owner) === "gone") return false;
  const key = beatKey(lease.id);
  const beat = await undefinedIfAbsent(async () => unsealJson(await storage.get(key), BeatSchema, key));
  return Math.abs(Date.now() - Date.parse(beat?.at ?? lease.createdAt)) < EXPIRES_MS;
}

export function removeLease(storage: Storage, id: string): Promise<void> {
  return storage.delete([leaseKey(id), beatKey(id)]);
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
    message: `${key} is gone: another run took this one for dead, and may have removed what it relies on.`,
    remedy: "Nothing is lost, but this run does not count. Run it again; it stores only what is missing.",
    object: key,
  });
}
