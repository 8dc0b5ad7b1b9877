import { BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { decodeChunk } from "../../repository/format/chunk-codec.js";
import { type PackTable, packKey } from "../../repository/format/pack.js";
import type { ObjectLock, RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import { findOwners } from "../../repository/index/chunk-owners.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { type PackRun, runsOf } from "../restore/pack-runs.js";

/** Runs of neighbouring chunks that are read at once, 4 MiB each at most. */
const RUNS_AT_ONCE = 4;
/** Chunks whose places are sorted at once: bounds memory, and still reads neighbours together. */
const BATCH_CHUNKS = 2 ** 16;
/** Problems kept for the report. The packs concerned stay whether or not their problem is kept. */
const MAX_PROBLEMS = 100;

interface PlaceProofOptions {
  stored: StoredChunks;
  /** Whether a recovery point needs the chunk of this entry, which `find` returned. */
  isNeeded(entry: number): boolean;
  signal: AbortSignal;
}

interface Proof {
  /** Ids of packs without which a needed chunk would or might be lost. */
  mustStay: Set<string>;
  /** Why chunks did not prove at other places; at most 100 errors. */
  problems: BlockferryError[];
}

/**
 * Finds out which packs can be removed.
 * Each needed chunk in them is read and proven in another pack that stays. Only chunks that several packs
 * list cost a read. If a chunk proves nowhere, every pack that lists it stays. The index then has the proven
 * place as the chunk's first one.
 * @param going ids of the packs about to be removed
 * @throws Interrupted, StorageUnavailable and the like: nothing is proven then
 */
export async function proveElsewhere(going: Iterable<string>, options: PlaceProofOptions): Promise<Proof> {
  const { index, packs } = options.stored;
  const goes = numbersOf(going, packs);
  const proof: Proof = { mustStay: new Set(), problems: [] };
  const isOpen = (entry: number) => someGoes(index, entry, goes);
  for await (const entry of unprovenAmong(isOpen, goes, options, proof)) {
    await keepOne(entry, goes, options, proof);
  }
  return proof;
}

/**
 * Finds and proves a good place of each needed chunk that several packs list.
 * It makes that place the chunk's first one in the index.
 * @throws the error of a chunk that proves at no place; Interrupted, StorageUnavailable and the like
 */
async function preferProven(options: PlaceProofOptions): Promise<void> {
  const { index, packs } = options.stored;
  const proof: Proof = { mustStay: new Set(), problems: [] };
  const isOpen = (entry: number) => index.nextPlace(entry) >= 0;
  for await (const entry of unprovenAmong(isOpen, new Uint8Array(packs.count), options, proof)) {
    const error = await lossAt(entry, options.stored);
    if (error !== undefined) throw error;
  }
}

/** Yields the needed chunks selected by `isOpen` that prove in no pack that stays. */
async function* unprovenAmong(
  isOpen: (entry: number) => boolean,
  goes: Uint8Array,
  options: PlaceProofOptions,
  proof: Proof,
): AsyncGenerator<number> {
  const { stored, isNeeded, signal } = options;
  const { index } = stored;
  // Proving changes the order of places, so the chunks are selected first.
  const open = NumberSet.below(index.size);
  for (let entry = 0; entry < index.size; entry++) {
    if (isNeeded(entry) && isOpen(entry)) open.add(entry);
  }
  let batch: number[] = [];
  for (const entry of open) {
    throwIfInterrupted(signal);
    if (batch.push(entry) < BATCH_CHUNKS) continue;
    yield* await proveSurvivors(batch, goes, options, proof);
    batch = [];
  }
  yield* await proveSurvivors(batch, goes, options, proof);
}

function numbersOf(ids: Iterable<string>, packs: PackTable): Uint8Array {
  const wanted = new Set(ids);
  return Uint8Array.from({ length: packs.count }, (_, number) => (wanted.has(packs.id(number)) ? 1 : 0));
}

function someGoes(index: ChunkIndex, entry: number, goes: Uint8Array): boolean {
  for (let place = entry; place >= 0; place = index.nextPlace(place)) {
    if (goes[index.packNumber(place)] === 1) return true;
  }
  return false;
}

/**
 * Tries the places in packs that stay, one per chunk in each round.
 * @returns the chunks that prove at none
 */
async function proveSurvivors(
  entries: number[],
  goes: Uint8Array,
  options: PlaceProofOptions,
  proof: Proof,
): Promise<number[]> {
  const { index } = options.stored;
  const unproven: number[] = [];
  /** The chunk of each place to try. */
  let open = new Map<number, number>();
  const tryNext = (place: number, entry: number) => {
    if (place < 0) unproven.push(entry);
    else open.set(place, entry);
  };
  for (const entry of entries) tryNext(nextSurvivor(index, entry, goes), entry);
  while (open.size > 0) {
    const tried = open;
    open = new Map();
    for await (const { place, error } of provePlaces([...tried.keys()], options)) {
      const entry = tried.get(place) as number;
      if (error === undefined) index.prefer(entry, place);
      else {
        note(error, proof);
        tryNext(nextSurvivor(index, index.nextPlace(place), goes), entry);
      }
    }
  }
  return unproven;
}

/** Returns the first place, from this one on, whose pack stays; -1 if there is none. */
function nextSurvivor(index: ChunkIndex, from: number, goes: Uint8Array): number {
  for (let place = from; place >= 0; place = index.nextPlace(place)) {
    if (goes[index.packNumber(place)] === 0) return place;
  }
  return -1;
}

/**
 * Keeps a pack for a chunk that no remaining pack holds: the first pack that proves to hold it, or all that
 * list it.
 */
async function keepOne(
  entry: number,
  goes: Uint8Array,
  options: PlaceProofOptions,
  proof: Proof,
): Promise<void> {
  const { stored } = options;
  const { index } = stored;
  const places = [...index.places(entry)].filter((place) => goes[index.packNumber(place)] === 1);
  const staying = places.filter((place) => proof.mustStay.has(stored.packOf(place)));
  for (const place of [...staying, ...places.filter((other) => !staying.includes(other))]) {
    const error = await lossAt(place, options.stored);
    if (error === undefined) {
      proof.mustStay.add(stored.packOf(place));
      return;
    }
    note(error, proof);
  }
  for (const place of places) proof.mustStay.add(stored.packOf(place));
}

function note(error: BlockferryError, { problems }: Proof): void {
  if (problems.length < MAX_PROBLEMS) problems.push(error);
}

/** Reads places in the order of packs and offsets, neighbours in one request. */
async function* provePlaces(
  places: number[],
  options: PlaceProofOptions,
): AsyncIterable<{ place: number; error: BlockferryError | undefined }> {
  let runs: PackRun[] = [];
  const proveAll = async () => {
    throwIfInterrupted(options.signal);
    const results = await Promise.all(runs.map((run) => proveRun(run, options.stored)));
    runs = [];
    return results.flat();
  };
  for (const run of runsOf(places, options.stored.index)) {
    if (runs.push(run) === RUNS_AT_ONCE) yield* await proveAll();
  }
  yield* await proveAll();
}

async function proveRun(
  run: PackRun,
  stored: StoredChunks,
): Promise<{ place: number; error: BlockferryError | undefined }[]> {
  const { storage } = stored;
  const packId = stored.packs.id(run.packNumber);
  const bytes = await bytesOf(run, storage, packId);
  const into = Buffer.allocUnsafe(CHUNK_BYTES);
  const results: { place: number; error: BlockferryError | undefined }[] = [];
  for (const { entry: place, record } of run.chunks) {
    const start = record.offset - run.offset;
    const storedBytes = bytes.subarray(start, start + record.storedBytes);
    // A chunk that was damaged in transfer is read again by itself.
    const isProven = decodes(() => decodeChunk(record, packId, storedBytes, into, storage.cipher));
    results.push({ place, error: isProven ? undefined : await lossAt(place, stored) });
  }
  return results;
}

function decodes(decode: () => Buffer): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (!provesLoss(error)) throw error;
    return false;
  }
}

/**
 * @returns no bytes if the pack cannot be read: each chunk is then read by itself, and reports its own error
 */
async function bytesOf({ offset, length }: PackRun, storage: Storage, packId: string): Promise<Buffer> {
  try {
    return await storage.get(packKey(packId), { range: { offset, length } });
  } catch (error) {
    if (provesLoss(error)) return Buffer.alloc(0);
    throw error;
  }
}

async function lossAt(place: number, stored: StoredChunks): Promise<BlockferryError | undefined> {
  try {
    await stored.readPlace(place);
    return undefined;
  } catch (error) {
    if (!(error instanceof BlockferryError) || !provesLoss(error)) throw error;
    return error;
  }
}

/**
 * Locks every object that a point needs, except the point itself.
 * These are packs, including old ones, `config.json` and the keys. Index segments are not locked: `prune`
 * rewrites them, and a pack lists its own chunks. If several packs list a chunk, the locked one was read and
 * proven to hold it.
 * @throws ChunkMissing, ChunkCorrupt: the volumes cannot be restored; LockUnsupported, StorageDenied;
 * Interrupted
 */
export async function lockNeeds(
  storage: Storage,
  volumes: RecoveryPoint["volumes"],
  lock: ObjectLock,
  signal: AbortSignal,
): Promise<void> {
  // `prune` keeps packs condemned during this run if the point will need them.
  const stored = await StoredChunks.load(storage, { condemned: "last" });
  const { index, packs } = stored;
  const owners = await findOwners(stored, [{ volumes }], signal);
  await preferProven({ stored, isNeeded: (entry) => owners.isNeeded(entry), signal });
  const needed = new Set<number>();
  for (let entry = 0; entry < index.size; entry++) {
    if (owners.isNeeded(entry)) needed.add(index.packNumber(entry));
  }
  const keys = (await storage.list("keys/")).map(({ key }) => key);
  await storage.lock(["config.json", ...keys, ...[...needed].map((pack) => packKey(packs.id(pack)))], lock);
}
