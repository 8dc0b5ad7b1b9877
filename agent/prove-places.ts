import { BlockferryError } from "../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../foundation/interrupted.js";
import { NumberSet } from "../foundation/number-set.js";
import { decodeChunk } from "../repository/chunk-codec.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";
import type { ChunkIndex } from "../repository/chunk-index.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { packKey } from "../repository/pack-format.js";
import { readPlace } from "../repository/read-chunk.js";
import { saysLost } from "../repository/storage/again-if-damaged.js";
import type { Storage } from "../repository/storage/storage.js";
import { type PackRun, runsOf } from "./pack-runs.js";

/** Runs of neighbouring chunks that are read at once, 4 MiB each at most. */
const RUNS_AT_ONCE = 4;
/** Chunks whose places are sorted at once: bounds memory, and still reads neighbours together. */
const BATCH_CHUNKS = 2 ** 16;
/** Problems kept for the report. The packs concerned stay whether or not their problem is kept. */
const MAX_PROBLEMS = 100;

export interface ProofOptions {
  storage: Storage;
  loaded: Pick<LoadedIndex, "index" | "packs">;
  /** Whether a recovery point needs the chunk of this entry, which `find` returned. */
  isNeeded(entry: number): boolean;
  signal: AbortSignal;
}

export interface Proof {
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
export async function proveElsewhere(going: Iterable<string>, options: ProofOptions): Promise<Proof> {
  const { loaded } = options;
  const goes = numbersOf(going, loaded);
  const proof: Proof = { mustStay: new Set(), problems: [] };
  const isOpen = (entry: number) => someGoes(loaded.index, entry, goes);
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
export async function preferProven(options: ProofOptions): Promise<void> {
  const { index, packs } = options.loaded;
  const proof: Proof = { mustStay: new Set(), problems: [] };
  const isOpen = (entry: number) => index.nextPlace(entry) >= 0;
  for await (const entry of unprovenAmong(isOpen, new Uint8Array(packs.count), options, proof)) {
    const error = await lossAt(entry, options);
    if (error !== undefined) throw error;
  }
}

/** Yields the needed chunks selected by `isOpen` that prove in no pack that stays. */
async function* unprovenAmong(
  isOpen: (entry: number) => boolean,
  goes: Uint8Array,
  options: ProofOptions,
  proof: Proof,
): AsyncGenerator<number> {
  const { loaded, isNeeded, signal } = options;
  // Proving changes the order of places, so the chunks are selected first.
  const open = NumberSet.below(loaded.index.size);
  for (let entry = 0; entry < loaded.index.size; entry++) {
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

function numbersOf(ids: Iterable<string>, { packs }: ProofOptions["loaded"]): Uint8Array {
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
  options: ProofOptions,
  proof: Proof,
): Promise<number[]> {
  const { index } = options.loaded;
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
async function keepOne(entry: number, goes: Uint8Array, options: ProofOptions, proof: Proof): Promise<void> {
  const { index, packs } = options.loaded;
  const idOf = (place: number) => packs.id(index.packNumber(place));
  const places = [...index.places(entry)].filter((place) => goes[index.packNumber(place)] === 1);
  const staying = places.filter((place) => proof.mustStay.has(idOf(place)));
  for (const place of [...staying, ...places.filter((other) => !staying.includes(other))]) {
    const error = await lossAt(place, options);
    if (error === undefined) {
      proof.mustStay.add(idOf(place));
      return;
    }
    note(error, proof);
  }
  for (const place of places) proof.mustStay.add(idOf(place));
}

function note(error: BlockferryError, { problems }: Proof): void {
  if (problems.length < MAX_PROBLEMS) problems.push(error);
}

/** Reads places in the order of packs and offsets, neighbours in one request. */
async function* provePlaces(
  places: number[],
  options: ProofOptions,
): AsyncIterable<{ place: number; error: BlockferryError | undefined }> {
  let runs: PackRun[] = [];
  const proveAll = async () => {
    throwIfInterrupted(options.signal);
    const results = await Promise.all(runs.map((run) => proveRun(run, options)));
    runs = [];
    return results.flat();
  };
  for (const run of runsOf(places, options.loaded.index)) {
    if (runs.push(run) === RUNS_AT_ONCE) yield* await proveAll();
  }
  yield* await proveAll();
}

async function proveRun(
  run: PackRun,
  options: ProofOptions,
): Promise<{ place: number; error: BlockferryError | undefined }[]> {
  const { storage, loaded } = options;
  const packId = loaded.packs.id(run.packNumber);
  const bytes = await bytesOf(run, storage, packId);
  const into = Buffer.allocUnsafe(CHUNK_BYTES);
  const results: { place: number; error: BlockferryError | undefined }[] = [];
  for (const { entry: place, record } of run.chunks) {
    const start = record.offset - run.offset;
    const stored = bytes.subarray(start, start + record.storedBytes);
    // A chunk that was damaged in transfer is read again by itself.
    const isProven = decodes(() => decodeChunk(record, packId, stored, into, storage.cipher));
    results.push({ place, error: isProven ? undefined : await lossAt(place, options) });
  }
  return results;
}

function decodes(decode: () => Buffer): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (!saysLost(error)) throw error;
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
    if (saysLost(error)) return Buffer.alloc(0);
    throw error;
  }
}

async function lossAt(
  place: number,
  { storage, loaded: { index, packs } }: ProofOptions,
): Promise<BlockferryError | undefined> {
  try {
    await readPlace(storage, index, packs, place);
    return undefined;
  } catch (error) {
    if (!(error instanceof BlockferryError) || !saysLost(error)) throw error;
    return error;
  }
}
