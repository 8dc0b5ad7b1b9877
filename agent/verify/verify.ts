import { BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import { listKeys } from "../../repository/encryption/key-record.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import { findPoint, listPoints } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { Counters } from "../counters.js";
import { withReadLease } from "../read-lease.js";
import type { RunWatcher } from "../run-watcher.js";
import { ThreadPool } from "../thread-pool.js";
import type { PackToRead, VerifyTask, VerifyThreadResult } from "./messages.js";
import { type DamagedRange, walkPoints } from "./walk-points.js";

export interface VerifyOptions {
  /** Verify this point and what it needs alone; undefined for the whole repository. */
  point: string | undefined;
  /** Share of the packs whose data are read and proven, 0 to 100. */
  readPercent: number;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

export interface VerifyReport {
  points: number;
  packs: number;
  packsRead: number;
  bytesRead: number;
  problems: BlockferryError[];
  /** What is gone and needed by no recovery point: its chunks were stored anew, or nobody refers to them. */
  notes: BlockferryError[];
  /** What the problems mean for the recovery points. */
  damaged: DamagedRange[];
}

/**
 * Verifies a repository: that every object is intact, that every recovery point has all it needs, and with `readPercent`
 * that the packs hold what they say, down to the last byte.
 * @returns what is wrong, if anything is
 * @throws PointNotFound, Interrupted, StorageFailed: when the verification itself could not be done
 */
export async function verify(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  return withReadLease(repository.storage, options, () => verifyLeased(repository, options));
}

async function verifyLeased(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const storage = repository.storage.until(options.signal);
  const { points, damaged: damagedPoints } =
    options.point === undefined
      ? await listPoints(storage)
      : { points: [await findPoint(storage, options.point)], damaged: [] };
  const loaded = await loadIndex(storage, { condemned: "last" });
  const { damaged: damagedKeys } = await listKeys(storage, repository.config.id);
  const problems = [...damagedKeys, ...damagedPoints, ...loaded.problems];
  const findings = await walkPoints(points, { storage, loaded, isLost: () => false });
  problems.push(...findings.problems, ...lostSegments(loaded, findings.needed));

  const selection = selectPacks(loaded, options, findings.needed);
  const proven = new SharedArrayBuffer(loaded.index.size);
  problems.push(...(await readPacks(repository, loaded, selection, proven, options)));

  const lost = lostEntries(loaded, selection, new Uint8Array(proven));
  problems.push(...misplacedChunks(loaded, lost, problems));
  const { damaged } =
    lost.count() === 0
      ? findings
      : await walkPoints(points, { storage, loaded, isLost: (entry) => lost.has(entry) });
  const everyPointWhole = damaged.length === 0 && damagedPoints.length === 0;
  const isNote = ({ code }: BlockferryError) => everyPointWhole && code === "PackMissing";
  return {
    points: points.length,
    packs: loaded.packBytes.size,
    packsRead: selection.length,
    bytesRead: totalBytes(selection),
    problems: withoutRepeats(problems.filter((problem) => !isNote(problem))),
    notes: problems.filter(isNote),
    damaged,
  };
}

/** A recovery point is written after its index, so a pack that it needs and no segment names has lost its segment. */
function lostSegments({ index, packs, unindexedPacks }: LoadedIndex, needed: NumberSet): BlockferryError[] {
  const unindexed = new Set(unindexedPacks.map(({ id }) => id));
  const concerned = new Set<string>();
  for (const entry of needed) {
    const id = packs.id(index.packNumber(entry));
    if (unindexed.has(id)) concerned.add(id);
  }
  return [...concerned].map(
    (id) =>
      new BlockferryError({
        code: "IndexMissing",
        message: `The index segment that lists ${packKey(id)} is missing.`,
        remedy: "Nothing is lost: the pack lists its own chunks. The next backup writes the segment anew.",
        object: packKey(id),
      }),
  );
}

/** The packs to read: all, those that a point needs, or a random sample. */
function selectPacks(loaded: LoadedIndex, options: VerifyOptions, needed: NumberSet): PackToRead[] {
  if (options.readPercent === 0) return [];
  const numbers = new Set<number>();
  if (options.point === undefined) {
    for (let number = 0; number < loaded.packs.count; number++) {
      if (!loaded.condemnedPacks.has(loaded.packs.id(number))) numbers.add(number);
    }
  }
  for (const entry of needed) numbers.add(loaded.index.packNumber(entry));
  const all = [...numbers].map((packNumber) => ({
    packNumber,
    sizeBytes: loaded.packBytes.get(loaded.packs.id(packNumber)) ?? 0,
  }));
  const count = Math.ceil((all.length * options.readPercent) / 100);
  return all
    .map((pack) => ({ pack, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ pack }) => pack);
}

async function readPacks(
  repository: Repository,
  loaded: LoadedIndex,
  selection: PackToRead[],
  proven: SharedArrayBuffer,
  options: VerifyOptions,
): Promise<BlockferryError[]> {
  if (selection.length === 0) return [];
  const threads = Math.min(options.threads, selection.length);
  const counters = Counters.create(threads);
  const task: VerifyTask = {
    storage: repository.location,
    index: loaded.index.memory,
    packs: loaded.packs.memory,
    selection,
    taken: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    proven,
    counters: counters.memory,
  };
  const module = new URL("./verify-thread.js", import.meta.url);
  const pool = new ThreadPool<VerifyTask, VerifyThreadResult>(module, threads, repository.location.kind);
  try {
    const results = await pool.run({
      task,
      signal: options.signal,
      watcher: options.watcher,
      watched: { label: "Verifying", totalBytes: totalBytes(selection), totals: () => counters.totals() },
    });
    return results.flat().map((record) => new BlockferryError(record));
  } finally {
    await pool.close();
  }
}

function totalBytes(selection: PackToRead[]): number {
  return selection.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Entries of packs that were read, whose chunks were not proven. */
function lostEntries({ index }: LoadedIndex, selection: PackToRead[], proven: Uint8Array): NumberSet {
  const read = new Set(selection.map(({ packNumber }) => packNumber));
  const lost = NumberSet.below(index.size);
  if (read.size === 0) return lost;
  for (let entry = 0; entry < index.size; entry++) {
    if (proven[entry] === 0 && read.has(index.packNumber(entry))) lost.add(entry);
  }
  return lost;
}

/** Lost chunks in packs without a fault of their own: the index sends readers to the wrong place. */
function misplacedChunks(
  { index, packs }: LoadedIndex,
  lost: NumberSet,
  problems: BlockferryError[],
): BlockferryError[] {
  const explained = new Set(problems.map(({ object }) => object));
  return [...lost]
    .filter((entry) => !explained.has(packKey(packs.id(index.packNumber(entry)))))
    .map((entry) => {
      const key = packKey(packs.id(index.packNumber(entry)));
      const { id, offset } = index.record(entry);
      return new BlockferryError({
        code: "ChunkMissing",
        message: `The index names ${key} at byte ${offset} for chunk ${id.toString("hex")}, and the pack has no such chunk.`,
        remedy: "Report this as a bug. Removing the index segments makes readers use the packs' own footers.",
        object: key,
        offset,
      });
    });
}

function withoutRepeats(problems: BlockferryError[]): BlockferryError[] {
  const seen = new Map(problems.map((problem) => [problem.message, problem]));
  return [...seen.values()];
}
