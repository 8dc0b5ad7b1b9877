import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { NumberSet } from "../../foundation/number-set.js";
import { listKeys } from "../../repository/encryption/key-record.js";
import { type LoadedIndex, loadIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import { findPoint, listPoints, type RecoveryPoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { readVerifyCursor, type VerifyCursor, writeVerifyCursor } from "../../repository/verify-cursor.js";
import { withReadLease } from "../read-lease.js";
import type { RunWatcher } from "../run-watcher.js";
import { causesOf, lostEntries, misplacedChunks } from "./lost-entries.js";
import type { PackToRead } from "./messages.js";
import { readPacks } from "./read-packs.js";
import { selectPacks } from "./select-packs.js";
import { type DamagedRange, walkPoints } from "./walk-points.js";

export interface VerifyOptions {
  /** Verify this point and what it needs alone; undefined for the whole repository. */
  point: string | undefined;
  /**
   * Share of the packs whose data are read and proven, 0 to 100. Below 100 it is the next share after that of the last run, so that
   * ceil(100 / share) runs read all; of a single point everything is read.
   */
  readPercent: number;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

export interface VerifyReport {
  /** ISO 8601, UTC. */
  startedAt: string;
  points: number;
  volumes: number;
  /** Of these volumes. */
  volumeBytes: number;
  packs: number;
  packBytes: number;
  packsRead: number;
  bytesRead: number;
  /** Every pack that is older has been read since then, by this run or by others; null when that is not known. */
  readSince: string | null;
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
 * @throws PointNotFound, Interrupted, StorageFailed: when the verification itself could not be done; the next sample begins where this one did
 */
export async function verify(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const { report, cursor } = await withReadLease(repository.storage, options, () =>
    verifyLeased(repository, options),
  );
  if (cursor !== undefined)
    await keepCursor(repository.storage.until(options.signal), cursor, options.watcher);
  return report;
}

interface Verified {
  report: VerifyReport;
  /** Where the next sample begins; undefined when that does not change. */
  cursor: VerifyCursor | undefined;
}

async function verifyLeased(repository: Repository, options: VerifyOptions): Promise<Verified> {
  const startedAt = new Date().toISOString();
  const storage = repository.storage.until(options.signal);
  const { points, damaged: damagedPoints } =
    options.point === undefined
      ? await listPoints(storage)
      : { points: [await findPoint(storage, options.point)], damaged: [] };
  const loaded = await loadIndex(storage, { condemned: "last" });
  const { damaged: damagedKeys } = await listKeys(storage, repository.config.id);
  const problems = [...damagedKeys, ...damagedPoints, ...loaded.problems];
  const findings = await walkPoints(points, { storage, loaded, causeOf: () => undefined });
  problems.push(...findings.problems, ...lostSegments(loaded, findings.needed));

  const cursor = await readVerifyCursor(storage);
  const selected = selectPacks(loaded, { ...options, cursor, startedAt, needed: findings.needed });
  const selection = selected.packs;
  const proven = new SharedArrayBuffer(loaded.index.size);
  problems.push(...(await readPacks(repository, loaded, { ...options, selection, proven })));

  const lost = lostEntries(loaded, selection, new Uint8Array(proven));
  problems.push(...misplacedChunks(loaded, lost, problems));
  const { damaged } =
    lost.count() === 0
      ? findings
      : await walkPoints(points, { storage, loaded, causeOf: causesOf(loaded, lost, problems) });
  const everyPointWhole = damaged.length === 0 && damagedPoints.length === 0;
  const isNote = ({ code }: BlockferryError) => everyPointWhole && code === "PackMissing";
  const report: VerifyReport = {
    startedAt,
    ...sizesOf(points, loaded, selection),
    readSince: (selected.cursor ?? cursor)?.readSince ?? null,
    problems: withoutRepeats(problems.filter((problem) => !isNote(problem))),
    notes: problems.filter(isNote),
    damaged,
  };
  return { report, cursor: selected.cursor };
}

function sizesOf(points: RecoveryPoint[], { packBytes }: LoadedIndex, selection: PackToRead[]) {
  const volumes = points.flatMap((point) => point.volumes);
  return {
    points: points.length,
    volumes: volumes.length,
    volumeBytes: totalBytes(volumes),
    packs: packBytes.size,
    packBytes: totalBytes([...packBytes.values()].map((sizeBytes) => ({ sizeBytes }))),
    packsRead: selection.length,
    bytesRead: totalBytes(selection),
  };
}

function totalBytes(objects: { sizeBytes: number }[]): number {
  return objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Where it cannot be written, the next run reads the same packs again. */
async function keepCursor(storage: Storage, cursor: VerifyCursor, watcher: RunWatcher): Promise<void> {
  try {
    await writeVerifyCursor(storage, cursor);
  } catch (error) {
    if (!(error instanceof BlockferryError) || error.code === "Interrupted") throw error;
    watcher.notice(`The next sample begins where this one did: ${error.message}`);
  }
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
        remedy:
          "Nothing is lost: the pack lists its own chunks. `blockferry-agent repair index` writes the segment anew, and so does the next backup.",
        object: packKey(id),
      }),
  );
}

function withoutRepeats(problems: BlockferryError[]): BlockferryError[] {
  const seen = new Map(problems.map((problem) => [problem.message, problem]));
  return [...seen.values()];
}
