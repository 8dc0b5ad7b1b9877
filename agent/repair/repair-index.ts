import { BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import { CHUNK_RECORD_BYTES } from "../../repository/chunk-record.js";
import { type IndexedPack, writeIndexSegment } from "../../repository/index-segment.js";
import type { Lease } from "../../repository/lease.js";
import { readPackFooter } from "../../repository/pack-footer.js";
import { packIdOf, packKey } from "../../repository/pack-format.js";
import type { Repository } from "../../repository/repository.js";
import { saysLost } from "../../repository/storage/again-if-damaged.js";
import type { Storage } from "../../repository/storage/storage.js";
import { acquireExclusive } from "../exclusive-lease.js";
import { SegmentBatch } from "../segment-batch.js";
import { OldIndex } from "./old-index.js";
import { salvagePack } from "./salvage-pack.js";

export interface IndexRepair {
  /** Packs and chunks that the new index lists. */
  packs: number;
  chunks: number;
  /** Segments that it consists of. */
  segments: number;
  /** Old segments that are removed. */
  segmentsRemoved: number;
  /** Packs that exist and that no old segment listed. */
  unlisted: number;
  /** Ids of the packs that old segments listed and that are gone: the new index does not name them. */
  missing: string[];
  /** What was wrong with old segments. */
  replaced: BlockferryError[];
  /** Packs whose footer is damaged: what of them is listed is what old segments listed and what proved when it was read. */
  damaged: DamagedPack[];
}

interface DamagedPack {
  error: BlockferryError;
  chunksKept: number;
  /** Null when no segment tells what the pack held. */
  chunksLost: number | null;
}

/** Footers read at once. */
const FOOTER_READS = 16;

/**
 * Writes the index anew from what the packs say of themselves, and then removes the segments that there were before. Safe beside
 * any backup, restore and verify, and wherever it is killed: docs/architecture.md tells why.
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

/** What `repairIndex` would do now; changes nothing. */
export function planIndexRepair(repository: Repository, signal: AbortSignal): Promise<IndexRepair> {
  return rebuild(repository.storage.until(signal), NO_WRITER, signal);
}

/** The old segments are listed before the packs, so every pack that one of them lists and that exists is found. */
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
    for (const { pack, damage } of await Promise.all(reads)) {
      if (damage !== undefined) repair.damaged.push(damage);
      if (pack === undefined) continue;
      batch.add(pack);
      repair.packs++;
      repair.chunks += pack.footer.length / CHUNK_RECORD_BYTES;
      if (batch.isFull) await write();
    }
  }
  await write();
  const outdated = old.keys.filter((key) => !written.has(key));
  await writer.remove(outdated);
  return { ...repair, segmentsRemoved: outdated.length };
}

/** By id, so that a repair after one that was killed writes the same segments again, and not others besides. */
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
  /** What the index is to list of it, if anything. */
  pack?: IndexedPack;
  damage?: DamagedPack;
}

async function readPack(
  storage: Storage,
  old: OldIndex,
  { id, sizeBytes }: { id: string; sizeBytes: number },
): Promise<PackReading> {
  try {
    return { pack: await readPackFooter(storage, id, sizeBytes) };
  } catch (error) {
    if (!(error instanceof BlockferryError) || !saysLost(error)) throw error;
    const listed = await old.find(id);
    if (listed === undefined) return { damage: { error, chunksKept: 0, chunksLost: null } };
    const pack = await salvagePack(storage, listed, sizeBytes);
    const chunksKept = pack.footer.length / CHUNK_RECORD_BYTES;
    const chunksLost = listed.footer.length / CHUNK_RECORD_BYTES - chunksKept;
    const damage = { error, chunksKept, chunksLost };
    return chunksKept === 0 ? { damage } : { pack, damage };
  }
}

/** Writes and removes segments while the lease is held: another run that took this one for dead may have changed the index. */
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
