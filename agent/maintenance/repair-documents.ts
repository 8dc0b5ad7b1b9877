import { createHash } from "node:crypto";
import { type BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { type ByteRange, mergeRanges } from "../../native-free-io/data-ranges.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { unsealText } from "../../repository/format/sealed-json.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { listPoints } from "../../repository/points/points.js";
import { findUnreadable, whyUnreadable } from "../../repository/protocol/condemnation.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import { openStorage } from "../../repository/storage/open-storage.js";
import { isThere } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import { type DamagedRange, walkPointsInPacks } from "../verify/walk-points.js";

export interface DocumentRepair {
  /** The errors of moved documents, with their old and new keys. */
  moved: { error: BlockferryError; from: string; to: string }[];
  /**
   * Errors of documents that stay: their checksums are right, so they may be of a later version or be
   * renamed.
   */
  left: BlockferryError[];
}

const FOLDERS = ["locks/", "prune/", "points/"] as const;
const JUNK = "junk/";

/**
 * Moves aside damaged documents below `locks/`, `prune/` and `points/`.
 * These block `prune`, `forget` and repairs. Nothing is lost: each is copied unchanged before it is removed.
 * It is safe alongside all operations: a run whose lease is moved fails as if it had been considered dead.
 * @throws StorageDenied, StorageFailed, Interrupted: some documents may have been moved by then
 */
export async function repairDocuments(repository: Repository, signal: AbortSignal): Promise<DocumentRepair> {
  const storage = repository.storage.until(signal);
  const { key: _, ...place } = repository.location;
  const raw = (await openStorage(place)).until(signal);
  const repair = await planDocumentRepair(repository, signal);
  const moved: DocumentRepair["moved"] = [];
  for (const { error, from } of repair.moved) {
    throwIfInterrupted(signal);
    const to = await moveAside(storage, raw, from);
    if (to !== undefined) moved.push({ error, from, to });
  }
  return { moved, left: repair.left };
}

/** Returns what `repairDocuments` would do now; changes nothing. */
export async function planDocumentRepair(
  repository: Repository,
  signal: AbortSignal,
): Promise<DocumentRepair> {
  const storage = repository.storage.until(signal);
  const repair: DocumentRepair = { moved: [], left: [] };
  for (const error of await findUnreadable(storage, FOLDERS)) {
    const from = error.object ?? "";
    if (await isJunk(storage, error)) repair.moved.push({ error, from, to: JUNK + from });
    else repair.left.push(error);
  }
  return repair;
}

/**
 * Whether a document is useless. A document of a later version or a renamed recovery point may still be of
 * use.
 */
async function isJunk(storage: Storage, { code, object: key = "" }: BlockferryError): Promise<boolean> {
  if (code !== "ObjectCorrupt") return false;
  return !key.startsWith("points/") || !(await isSealIntact(storage, key));
}

async function isSealIntact(storage: Storage, key: string): Promise<boolean> {
  try {
    unsealText(await storage.get(key), key);
    return true;
  } catch {
    return false;
  }
}

/**
 * Moves a document: the copy is durable before the original is removed. A document that was rewritten
 * meanwhile stays.
 * @param raw the same storage, without decryption
 * @returns the new key, or undefined if the document stays
 */
async function moveAside(storage: Storage, raw: Storage, key: string): Promise<string | undefined> {
  const to = await freeKey(raw, JUNK + key);
  const copied = await copyRaw(raw, key, to);
  const isSame = (await digestOf(raw, key, async () => undefined)) === copied;
  if (!isSame || (await whyUnreadable(storage, key)) === undefined) return undefined;
  await raw.delete([key]);
  return to;
}

async function freeKey(raw: Storage, key: string): Promise<string> {
  let free = key;
  for (let number = 2; await isThere(raw, free); number++) free = `${key}.${number}`;
  return free;
}

async function copyRaw(raw: Storage, from: string, to: string): Promise<string> {
  const upload = raw.putStream(to);
  try {
    return await digestOf(raw, from, (part, isLast) => (isLast ? upload.finish(part) : upload.write(part)));
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/**
 * Reads an object of any size in parts.
 * @returns its SHA-256
 */
async function digestOf(
  raw: Storage,
  key: string,
  take: (part: Buffer, isLast: boolean) => Promise<void>,
): Promise<string> {
  const hash = createHash("sha256");
  for (let offset = 0; ; offset += raw.partBytes) {
    const part = await raw.get(key, { range: { offset, length: raw.partBytes } });
    const isLast = part.length < raw.partBytes;
    hash.update(part);
    await take(part, isLast);
    if (isLast) return hash.digest("hex");
  }
}

/** The losses of recovery points that the index and block maps show. */
export interface PointLosses {
  /** Ids of the complete points, oldest first. */
  whole: string[];
  /** Points that lack data, oldest first. */
  incomplete: IncompletePoint[];
  /** Errors of points that cannot be read at all. */
  unreadable: BlockferryError[];
}

interface IncompletePoint {
  id: string;
  /** The volumes that lack data. */
  volumes: IncompleteVolume[];
}

interface IncompleteVolume {
  name: string;
  sizeBytes: number;
  lostBytes: number;
  /** In order, with adjacent ranges joined. */
  lost: ByteRange[];
}

/**
 * Finds the data that recovery points have lost; changes nothing.
 * @throws LeaseLost, Interrupted, StorageUnavailable, StorageDenied
 */
export function findPointLosses(
  repository: Repository,
  options: { watcher: RunWatcher; signal: AbortSignal },
): Promise<PointLosses> {
  return withReadLease(repository.storage, options, async () => {
    const storage = repository.storage.until(options.signal);
    const { points, damaged: unreadable } = await listPoints(storage);
    const stored = await StoredChunks.load(storage, { condemned: "last" });
    const onFalseSegment = ({ message, remedy }: BlockferryError) =>
      options.watcher.notice(`${message} ${remedy}`);
    const { damaged, problems } = await walkPointsInPacks(points, stored, onFalseSegment);
    const refused = [...stored.problems, ...problems].find(saysNothing);
    if (refused !== undefined) throw refused;
    const judged = points.map((point) => ({ id: point.id, volumes: incompleteVolumes(point, damaged) }));
    return {
      whole: judged.filter(({ volumes }) => volumes.length === 0).map(({ id }) => id),
      incomplete: judged.filter(({ volumes }) => volumes.length > 0),
      unreadable,
    };
  });
}

function incompleteVolumes({ id, volumes }: RecoveryPoint, damaged: DamagedRange[]): IncompleteVolume[] {
  return volumes.flatMap(({ name, sizeBytes }) => {
    const lost = mergeRanges(damaged.filter(({ point, volume }) => point === id && volume === name));
    const lostBytes = lost.reduce((sum, { length }) => sum + length, 0);
    return lostBytes === 0 ? [] : [{ name, sizeBytes, lostBytes, lost }];
  });
}
