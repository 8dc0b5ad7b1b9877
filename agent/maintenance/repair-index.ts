import { BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES } from "../../repository/format/chunk.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import { packIdOf, packKey } from "../../repository/format/pack.js";
import { FOOTER_READS } from "../../repository/index/load-index.js";
import { writeIndexSegment } from "../../repository/index/segments.js";
import type { Repository } from "../../repository/open/repository.js";
import { readPackFooter } from "../../repository/packs/pack-reader.js";
import { acquireExclusive, type Lease } from "../../repository/protocol/lease.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { SegmentBatch } from "../backup/index-checkpoints.js";
import { OldIndex, salvagePack } from "./salvage-pack.js";

export interface IndexRepair {
  /** Packs and chunks in the new index. */
  packs: number;
  chunks: number;
  /** Number of segments of the new index. */
  segments: number;
  /** Old segments that are removed. */
  segmentsRemoved: number;
  /** Existing packs that no old segment listed. */
  unlisted: number;
  /** Ids of listed packs that are gone; the new index does not list them. */
  missing: string[];
  /** Problems of old segments. */
  replaced: BlockferryError[];
  /** Packs with a damaged footer: the new index has the records of old segments whose chunks proved. */
  damaged: DamagedPack[];
}

interface DamagedPack {
  error: BlockferryError;
  chunksKept: number;
  /** Null if no segment lists the pack's chunks. */
  chunksLost: number | null;
}

/**
 * Rebuilds the index from the packs' own footers, then removes the old segments.
 * Safe alongside any backup, restore and verify, and if killed at any time; docs/architecture.md has the
 * reasons.
 * @throws PruneRunning, LeaseLost; RepositoryUnsupported for a segment of a later version; Interrupted
 */
export async function repairIndex(repository: Repository, signal: AbortSignal): Promise<IndexRepair> {
  const lease = await acquireExclusive(repository.storage, signal);
  try {
    const storage = repository.storage.until(signal);
    return await rebuild(storage, new IndexWriter(storage, lease), signal);
  } finally {
    await lease.release();
  }
}

/** Returns what `repairIndex` would do now; changes nothing. */
export function planIndexRepair(repository: Repository, signal: AbortSignal): Promise<IndexRepair> {
  return rebuild(repository.storage.until(signal), NO_WRITER, signal);
}

/**
 * Rebuilds the index. Listing the old segments before the packs finds every listed pack that still exists.
 */
async function rebuild(
  storage: Storage,
  writer: Pick<IndexWriter, "write" | "remove">,
  signal: AbortSignal,
): Promise<IndexRepair> {
  const old = await OldIndex.read(storage);
  const packs = await listPacks(storage);
  const repair: IndexRepair = {
    ...{ packs: 0, chunks: 0, segments: 0, segmentsRemoved: 0 },
    unlisted: packs.filter(({ id }) => !old.has(id)).length,
    missing: missingPacks(old, packs),
    replaced: old.problems,
    damaged: [],
  };
  const batch = new SegmentBatch();
  const written = new Set<string>();
  const write = async () => {
    const taken = batch.take();
    if (taken.length === 0) return;
    written.add(await writer.write(taken));
    repair.segments++;
  };
  for (let start = 0; start < packs.length; start += FOOTER_READS) {
    throwIfInterrupted(signal);
    const reads = packs.slice(start, start + FOOTER_READS).map((pack) => readPack(storage, old, pack));
    for (const { lists, damage } of await Promise.all(reads)) {
      if (damage !== undefined) repair.damaged.push(damage);
      if (lists.length > 0) repair.packs++;
      for (const list of lists) batch.add(list);
      repair.chunks += chunksIn(lists);
      if (batch.isFull) await write();
    }
  }
  await write();
  const outdated = old.keys.filter((key) => !written.has(key));
  await writer.remove(outdated);
  return { ...repair, segmentsRemoved: outdated.length };
}

/** Returns the packs by id: a repair after a killed one then writes the same segments again. */
async function listPacks(storage: Storage): Promise<{ id: string; sizeBytes: number }[]> {
  const packs = (await storage.list("packs/")).flatMap(({ key, sizeBytes }) => {
    const id = packIdOf(key);
    return id === undefined ? [] : [{ id, sizeBytes }];
  });
  return packs.sort((a, b) => (a.id < b.id ? -1 : 1));
}

function missingPacks(old: OldIndex, packs: { id: string }[]): string[] {
  const there = new Set(packs.map(({ id }) => id));
  return [...old.packs].filter((id) => !there.has(id));
}

interface PackReading {
  /** The pack's records for the index: none if nothing proves; several lists if proven records overlap. */
  lists: IndexedPack[];
  damage?: DamagedPack;
}

async function readPack(
  storage: Storage,
  old: OldIndex,
  { id, sizeBytes }: { id: string; sizeBytes: number },
): Promise<PackReading> {
  try {
    return { lists: [await readPackFooter(storage, id, sizeBytes)] };
  } catch (error) {
    if (!(error instanceof BlockferryError) || !provesLoss(error)) throw error;
    const listed = await old.find(id);
    if (listed === undefined) return { lists: [], damage: { error, chunksKept: 0, chunksLost: null } };
    const lists = await salvagePack(storage, listed, sizeBytes);
    const chunksKept = chunksIn(lists);
    return { lists, damage: { error, chunksKept, chunksLost: chunksIn([listed]) - chunksKept } };
  }
}

function chunksIn(lists: IndexedPack[]): number {
  return lists.reduce((sum, { footer }) => sum + footer.length / CHUNK_RECORD_BYTES, 0);
}

/**
 * Writes and removes segments while the lease is held: a run that considered this one dead may have changed
 * the index.
 */
class IndexWriter {
  constructor(
    private readonly storage: Storage,
    private readonly lease: Lease,
  ) {}

  /** @returns the segment's key */
  async write(packs: IndexedPack[]): Promise<string> {
    await this.storage.makeDurable(packs.map(({ id }) => packKey(id)));
    await this.lease.assertHeld();
    return writeIndexSegment(this.storage, packs);
  }

  async remove(keys: string[]): Promise<void> {
    await this.lease.assertHeld();
    await this.storage.delete(keys);
  }
}

const NO_WRITER: Pick<IndexWriter, "write" | "remove"> = {
  write: async () => "",
  remove: async () => undefined,
};
