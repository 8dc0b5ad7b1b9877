import { BlockferryError } from "../../foundation/errors.js";
import type { NumberSet } from "../../foundation/number-set.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { Counters, type RunWatcher } from "../threads/shared-memory.js";
import { ThreadPool } from "../threads/thread-pool.js";
import { PackEntries, type PackToRead, type VerifyTask, type VerifyThreadResult } from "./messages.js";
import type { ReadRecord, VerifyCursor } from "./read-record.js";

/** Ranks of packs are random numbers below this. */
const ID_SPACE = 2n ** 128n;
const ID_DIGITS = 32;
/** Shares are whole numbers of millionths of a per cent. */
const UNITS_PER_PERCENT = 1_000_000;
const UNITS = 100n * BigInt(UNITS_PER_PERCENT);

interface Sample<Pack> {
  packs: Pack[];
  /** Where the next sample starts, once these packs have been read. */
  cursor: VerifyCursor;
}

interface SampleOptions {
  cursor: VerifyCursor | undefined;
  startedAt: string;
  rankOf(packId: string): string;
}

/**
 * Returns the next share of the packs.
 * It has the packs in the next `percent` of the rank space after the cursor, and at least `percent` of all
 * packs. Because positions are parts of that space and not counts, ceil(100 / percent) consecutive samples
 * include every pack that existed throughout, whatever packs were added or removed. Within a lap that starts
 * at 0, the packs below the cursor have been read.
 * @param startedAt start of this run, ISO 8601
 * @param rankOf position of a pack in an order that no writer of the repository can predict: 128 bits in hex
 */
export function nextSample<Pack extends { id: string }>(
  packs: Pack[],
  percent: number,
  { cursor, startedAt, rankOf }: SampleOptions,
): Sample<Pack> {
  const from = cursor ?? { next: "0".repeat(ID_DIGITS), lapBeganAt: startedAt, readSince: null };
  const start = position(from.next);
  const ahead = packs
    .map((pack) => ({ pack, distance: (position(rankOf(pack.id)) - start + ID_SPACE) % ID_SPACE }))
    .sort((a, b) => (a.distance < b.distance ? -1 : 1));
  const leastCount = Math.ceil((packs.length * percent) / 100);
  const last = ahead[leastCount - 1];
  const length = smaller(larger(shareOf(percent), (last?.distance ?? 0n) + 1n), ID_SPACE);
  return {
    packs: ahead.filter(({ distance }) => distance < length).map(({ pack }) => pack),
    cursor: moved(from, start + length, { startedAt, isWhole: length === ID_SPACE }),
  };
}

/**
 * Returns the cursor after a sample.
 * @param end where the sample ends; may exceed the id space
 */
function moved(
  from: VerifyCursor,
  end: bigint,
  { startedAt, isWhole }: { startedAt: string; isWhole: boolean },
): VerifyCursor {
  const next = (end % ID_SPACE).toString(16).padStart(ID_DIGITS, "0");
  if (isWhole) return { next, lapBeganAt: startedAt, readSince: startedAt };
  if (end >= ID_SPACE) return { next, lapBeganAt: startedAt, readSince: from.lapBeganAt };
  return { ...from, next };
}

/** Rounds up, so that rounding leaves no gap at the end of a lap. */
function shareOf(percent: number): bigint {
  const units = BigInt(Math.ceil(percent * UNITS_PER_PERCENT));
  return (ID_SPACE * units + UNITS - 1n) / UNITS;
}

function position(rank: string): bigint {
  return BigInt(`0x${rank}`);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

interface Selection {
  packs: PackToRead[];
  /** Where the next sample starts, once these packs are read; undefined to leave it unchanged. */
  cursor: VerifyCursor | undefined;
}

interface SelectOptions {
  /** Read all packs that this point needs, and no others; undefined for the whole repository. */
  point: string | undefined;
  /** Share of the packs that are read, 0 to 100. */
  readPercent: number;
  /** The read record of this machine: packs it lists as damaged are read again, for any share. */
  record: ReadRecord;
  /** ISO 8601. */
  startedAt: string;
  needed: NumberSet;
}

/**
 * Selects the packs to read.
 * For the whole repository these are the packs that were damaged when last read, and the next share of all.
 * For one point they are the packs it needs, or none at 0 percent. Condemned packs are left out, because
 * `prune` may remove them meanwhile, unless no other pack holds a needed chunk.
 */
export function selectPacks(stored: StoredChunks, options: SelectOptions): Selection {
  const { point, readPercent, record } = options;
  const known = point === undefined ? packsWhere(stored, (id) => record.damaged.has(id)) : [];
  if (readPercent === 0) return { packs: known, cursor: undefined };
  if (point !== undefined) return { packs: packsOfChunks(stored, options.needed), cursor: undefined };
  const { condemnedPacks } = stored;
  const all = new Map(packsOfChunks(stored, options.needed).map((pack) => [pack.id, pack]));
  for (const pack of packsWhere(stored, (id) => !condemnedPacks.has(id))) all.set(pack.id, pack);
  const { cursor, packs } = nextSample([...all.values()], readPercent, {
    ...{ cursor: record.cursor, startedAt: options.startedAt },
    rankOf: (id) => record.rank(id),
  });
  const chosen = new Set(packs.map(({ id }) => id));
  return { packs: [...known.filter(({ id }) => !chosen.has(id)), ...packs], cursor };
}

function packsWhere(stored: StoredChunks, isWanted: (id: string) => boolean): PackToRead[] {
  const packs: PackToRead[] = [];
  for (let number = 0; number < stored.packs.count; number++) {
    if (isWanted(stored.packs.id(number))) packs.push(packToRead(stored, number));
  }
  return packs;
}

function packsOfChunks(stored: StoredChunks, chunks: NumberSet): PackToRead[] {
  const { index, packs, condemnedPacks } = stored;
  const numbers = new Set<number>();
  for (const chunk of chunks) {
    const first = index.packNumber(chunk);
    const isOnlyCondemned = condemnedPacks.has(packs.id(first));
    for (const place of index.places(chunk)) {
      const number = index.packNumber(place);
      if (isOnlyCondemned || !condemnedPacks.has(packs.id(number))) numbers.add(number);
    }
  }
  return [...numbers].map((number) => packToRead(stored, number));
}

function packToRead({ packs, packBytes }: StoredChunks, packNumber: number): PackToRead {
  const id = packs.id(packNumber);
  return { id, packNumber, sizeBytes: packBytes.get(id) ?? 0 };
}

interface ReadPacksOptions {
  selection: PackToRead[];
  /** One byte per index entry; set to 1 when the chunk is proven and found at its place in the index. */
  proven: SharedArrayBuffer;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Reads whole packs in parallel and proves every byte of them.
 * @returns the problems found
 */
export async function readPacks(
  repository: Repository,
  stored: StoredChunks,
  { selection, proven, watcher, signal, ...options }: ReadPacksOptions,
): Promise<BlockferryError[]> {
  if (selection.length === 0) return [];
  const threads = Math.min(options.threads, selection.length);
  const counters = Counters.create(threads);
  const task: VerifyTask = {
    storage: repository.location,
    index: stored.index.memory,
    packEntries: PackEntries.of(stored.index, stored.packs.count).memory,
    selection,
    taken: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    proven,
    counters: counters.memory,
  };
  const module = new URL("./verify-thread.js", import.meta.url);
  const pool = new ThreadPool<VerifyTask, VerifyThreadResult>(module, threads, repository.location.kind);
  try {
    const totalBytes = selection.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const watched = { label: "Verifying", totalBytes, totals: () => counters.totals() };
    const results = await pool.run({ task, signal, progress: { watcher, watched } });
    return results.flat().map((record) => new BlockferryError(record));
  } finally {
    await pool.close();
  }
}
