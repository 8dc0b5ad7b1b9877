import { BlockferryError, type ErrorRecord, systemErrorCode } from "../../foundation/errors.js";
import { RefusedPath } from "../../foundation/held-place.js";
import type { NumberSet } from "../../foundation/number-set.js";
import { listKeys } from "../../repository/encryption/key-record.js";
import { packKey } from "../../repository/format/pack.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { listPoints } from "../../repository/points/points.js";
import type { TombstoneKey } from "../../repository/points/tombstone.js";
import { findUnreadable } from "../../repository/protocol/condemnation.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import { badPlaces, causesOf, lostChunks, misplacedChunks } from "./lost-entries.js";
import type { PackToRead } from "./messages.js";
import { ReadRecord } from "./read-record.js";
import { readPacks, selectPacks } from "./select-packs.js";
import { verifyHistory } from "./verify-history.js";
import { causeKey, type DamagedRange, walkPoints, walkPointsInPacks } from "./walk-points.js";

export interface VerifyOptions {
  /** Finds the only point to verify, with the objects it needs; undefined for the whole repository. */
  findPoint: ((storage: Storage) => Promise<RecoveryPoint>) | undefined;
  /**
   * Share of the packs whose data are read and proven, 0 to 100.
   * Below 100 it is the next share after that of the last run, so that ceil(100 / share) runs read all packs.
   * For a single point, any share above 0 reads everything.
   */
  readPercent: number;
  /** If given, only tombstones it has signed count; otherwise all do. */
  tombstoneKey?: TombstoneKey | undefined;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

export interface VerifyReport {
  /** ISO 8601, UTC. */
  startedAt: string;
  points: number;
  volumes: number;
  /** Total size of these volumes. */
  volumeBytes: number;
  packs: number;
  packBytes: number;
  packsRead: number;
  bytesRead: number;
  /**
   * Every pack older than this has been read since then, by this or other runs on this machine; null if
   * unknown.
   */
  readSince: string | null;
  /** Signed tombstones whose signatures were not checked because no key was given. */
  uncheckedTombstones: number;
  problems: BlockferryError[];
  /**
   * Missing packs that no recovery point needs: their chunks were stored again, or are not referenced. And
   * objects with names that blockferry never writes.
   */
  notes: BlockferryError[];
  /** Points with impossible dates. */
  future: BlockferryError[];
  /** The ranges of recovery points that the problems damage. */
  damaged: DamagedRange[];
}

/**
 * Verifies a repository.
 * Checks that every object is intact, that every recovery point has all it needs, and with `readPercent` that
 * the packs hold the chunks they list, down to the last byte.
 * @returns the report with all problems found
 * @throws PointNotFound, Interrupted, StorageFailed: the verification itself failed; the next sample starts
 * where this one did
 */
export async function verify(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const record = await ReadRecord.load(repository);
  const report = await withReadLease(repository.storage, options, () =>
    verifyLeased(repository, record, options),
  );
  await keepRecord(record, options.watcher);
  return report;
}

async function verifyLeased(
  repository: Repository,
  record: ReadRecord,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const startedAt = new Date().toISOString();
  const storage = repository.storage.until(options.signal);
  const list = await listPoints(storage);
  const point = await options.findPoint?.(storage);
  const { points, damaged: damagedPoints } = point === undefined ? list : { points: [point], damaged: [] };
  const stored = await StoredChunks.load(storage, { condemned: "last" });
  const { damaged: damagedKeys } = await listKeys(storage, repository.config.id);
  const unreadable = point === undefined ? await findUnreadable(storage, ["locks/", "prune/"]) : [];
  const problems = [...damagedKeys, ...damagedPoints, ...unreadable, ...stored.problems];
  const onFalseSegment = (problem: BlockferryError) => problems.push(problem);
  const findings = await walkPointsInPacks(points, stored, onFalseSegment);
  const { problems: breaks, uncheckedTombstones } =
    point === undefined
      ? await verifyHistory(storage, list, options.tombstoneKey)
      : { problems: [], uncheckedTombstones: 0 };
  problems.push(...breaks, ...findings.problems, ...lostSegments(stored, findings.needed));

  const needed = findings.needed;
  const selected = selectPacks(stored, { ...options, point: point?.id, record, startedAt, needed });
  const selection = selected.packs;
  const proven = new SharedArrayBuffer(stored.index.size);
  problems.push(...(await readPacks(repository, stored, { ...options, selection, proven })));

  const provenPlaces = new Uint8Array(proven);
  const bad = badPlaces(stored, selection, provenPlaces);
  problems.push(...misplacedChunks(stored, bad, problems));
  const lost = await lostChunks(stored, bad, { needed: findings.needed, proven: provenPlaces });
  const { damaged } =
    lost.size === 0 ? findings : await walkPoints(points, stored, causesOf(stored, lost, problems));
  const everyPointWhole = damaged.length === 0 && damagedPoints.length === 0;
  const isNote = ({ code }: BlockferryError) => everyPointWhole && code === "PackMissing";
  const removed = removedMeanwhile(stored);
  const isExpected = (problem: BlockferryError) => everyPointWhole && removed(problem);
  const report: VerifyReport = {
    startedAt,
    ...sizesOf(points, stored, selection),
    uncheckedTombstones,
    readSince: (selected.cursor ?? record.cursor)?.readSince ?? null,
    problems: withoutRepeats(problems.filter((problem) => !isNote(problem) && !isExpected(problem))),
    notes: [...problems.filter(isNote), ...list.strange, ...stored.strange],
    future: points.flatMap(({ id }) => list.future.get(id) ?? []),
    damaged,
  };
  record.cursor = selected.cursor ?? record.cursor;
  record.keepOnly(stored.packBytes.keys());
  const damagedObjects = new Set(problems.map(({ object }) => object));
  record.note(selection.map(({ id }) => ({ id, isDamaged: damagedObjects.has(packKey(id)) })));
  return report;
}

/** Whether a problem is only that `prune` removed a pack that it had condemned before this run started. */
function removedMeanwhile({ condemnedPacks }: StoredChunks): (problem: BlockferryError) => boolean {
  const condemnedKeys = new Set([...condemnedPacks].map(packKey));
  return ({ code, object }) => code === "ObjectNotFound" && condemnedKeys.has(object ?? "");
}

function sizesOf(points: RecoveryPoint[], { packBytes }: StoredChunks, selection: PackToRead[]) {
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

/** Saves the record. If it cannot be written, the next run reads the same packs again. */
async function keepRecord(record: ReadRecord, watcher: RunWatcher): Promise<void> {
  try {
    await record.save();
  } catch (error) {
    if (systemErrorCode(error) === undefined && !(error instanceof RefusedPath)) throw error;
    watcher.notice(
      `The next sample will start where this one did, and the damage that was found is not recorded: ${(error as Error).message}. BLOCKFERRY_STATE_DIR names another folder.`,
    );
  }
}

/**
 * Returns a problem for each needed pack without a segment: a point is written after its index, so the
 * segment is lost.
 */
function lostSegments(stored: StoredChunks, needed: NumberSet): BlockferryError[] {
  const unindexed = new Set(stored.unindexedPacks.map(({ id }) => id));
  const concerned = new Set<string>();
  for (const entry of needed) {
    const id = stored.packOf(entry);
    if (unindexed.has(id)) concerned.add(id);
  }
  return [...concerned].map(
    (id) =>
      new BlockferryError({
        code: "IndexMissing",
        message: `The index segment that lists ${packKey(id)} is missing.`,
        remedy:
          "Nothing is lost: the pack lists its own chunks. `blockferry-agent repair index` writes the segment again, and so does the next backup.",
        object: packKey(id),
      }),
  );
}

function withoutRepeats(problems: BlockferryError[]): BlockferryError[] {
  const seen = new Map(problems.map((problem) => [problem.message, problem]));
  return [...seen.values()];
}

type VolumeRange = Pick<DamagedRange, "point" | "volume" | "offset" | "length">;

/** A problem, and the bytes of recovery points that cannot be restored because of it. */
interface ProblemRecord extends ErrorRecord {
  affects: VolumeRange[];
}

/** Returns the problems of a report as plain data. */
export function problemRecords({ problems, damaged }: VerifyReport): ProblemRecord[] {
  const byCause = new Map<string, VolumeRange[]>();
  for (const range of damaged) {
    const { point, volume, offset, length } = range;
    const ranges = byCause.get(causeKey(range)) ?? [];
    byCause.set(causeKey(range), ranges);
    ranges.push({ point, volume, offset, length });
  }
  return problems.map((problem) => ({
    ...problem.toRecord(),
    affects: byCause.get(keyOf(problem)) ?? [],
  }));
}

/** Returns the cause key: object and place for a damaged chunk, otherwise the object alone. */
function keyOf({ code, object = "", offset }: BlockferryError): string {
  return causeKey(code === "ChunkCorrupt" ? { object, objectOffset: offset } : { object });
}
