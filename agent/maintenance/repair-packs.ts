import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES } from "../../repository/format/chunk.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import { packIdOf, packKey } from "../../repository/format/pack.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Repository } from "../../repository/open/repository.js";
import { readPackFooter, readRecord, recordsOf } from "../../repository/packs/pack-reader.js";
import { acquireExclusive, type Lease } from "../../repository/protocol/lease.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { Storage } from "../../repository/storage/storage.js";
import { copyChunks } from "./copy-chunks.js";
import { OldIndex, salvagePack } from "./salvage-pack.js";
import { mergeIndex } from "./sweep.js";

/** The result of replacing a damaged pack. */
export interface PackRepair {
  id: string;
  /** Chunks that proved, and are now in a new pack. */
  chunksKept: number;
  /** Null if neither footer nor index lists the pack's chunks. */
  chunksLost: number | null;
}

/**
 * Replaces damaged packs by new ones with the chunks that still prove.
 * The other chunks are then in no pack, so the next backup stores them again. A restore that is reading such
 * a pack may fail, and succeeds when it is run again.
 * @param ids ids of the packs
 * @throws PackMissing, ObjectCorrupt for a damaged segment, before anything is changed; PruneRunning,
 * LeaseLost; StorageFull; Interrupted
 */
export async function repairPacks(
  repository: Repository,
  ids: string[],
  signal: AbortSignal,
): Promise<PackRepair[]> {
  const lease = await acquireExclusive(repository.storage, signal);
  try {
    const storage = repository.storage.until(signal);
    const uploads = await storage.beginUploads();
    try {
      return await salvageAll(storage, ids, (pack) => replacePack(storage, lease, pack, signal));
    } finally {
      await uploads.end();
    }
  } finally {
    await lease.release();
  }
}

/**
 * Returns what `repairPacks` would do now; changes nothing.
 * @throws PackMissing, ObjectCorrupt
 */
export function planPackRepair(
  repository: Repository,
  ids: string[],
  signal: AbortSignal,
): Promise<PackRepair[]> {
  return salvageAll(repository.storage.until(signal), ids, async () => undefined);
}

async function salvageAll(
  storage: Storage,
  ids: string[],
  replace: (salvaged: IndexedPack) => Promise<void>,
): Promise<PackRepair[]> {
  const old = await OldIndex.read(storage);
  const [problem] = old.problems;
  if (problem !== undefined) throw problem;
  const sizes = await packSizes(storage, ids);
  const repairs: PackRepair[] = [];
  // Replacing one pack also replaces segments that list others.
  const listedPacks = new Map<string, IndexedPack | undefined>();
  for (const [id, sizeBytes] of sizes) {
    listedPacks.set(id, (await footerOf(storage, id, sizeBytes)) ?? (await old.find(id)));
  }
  for (const [id, sizeBytes] of sizes) {
    const listed = listedPacks.get(id);
    const lists = listed === undefined ? [] : await salvagePack(storage, listed, sizeBytes);
    const salvaged = { id, sizeBytes, footer: Buffer.concat(lists.map(({ footer }) => footer)) };
    await replace(salvaged);
    const chunksKept = chunksIn(salvaged);
    repairs.push({ id, chunksKept, chunksLost: listed === undefined ? null : chunksIn(listed) - chunksKept });
  }
  return repairs;
}

/**
 * Returns the sizes of packs by id.
 * @throws PackMissing for the first pack that does not exist
 */
async function packSizes(storage: Storage, ids: string[]): Promise<Map<string, number>> {
  const objects = await storage.list("packs/");
  const there = new Map(objects.map(({ key, sizeBytes }) => [packIdOf(key), sizeBytes]));
  return new Map(
    ids.map((id) => {
      const sizeBytes = there.get(id);
      if (sizeBytes === undefined) throw packMissing(storage, id);
      return [id, sizeBytes];
    }),
  );
}

async function footerOf(storage: Storage, id: string, sizeBytes: number): Promise<IndexedPack | undefined> {
  try {
    return await readPackFooter(storage, id, sizeBytes);
  } catch (error) {
    if (provesLoss(error)) return undefined;
    throw error;
  }
}

/**
 * Replaces a pack in a safe order.
 * New packs are durable, indexed and read back; then the old one is removed from the index, then from
 * storage.
 */
async function replacePack(
  storage: Storage,
  lease: Lease,
  salvaged: IndexedPack,
  signal: AbortSignal,
): Promise<void> {
  const stored = StoredChunks.ofPack(storage, salvaged);
  const entries = Array.from({ length: stored.index.size }, (_, entry) => entry);
  const copies: IndexedPack[] = [];
  await copyChunks(entries, {
    ...{ from: stored, to: storage, unindexed: [], compression: "lz4", signal },
    onPack: (pack) => copies.push(pack),
  });
  for (const { id, footer } of copies) {
    for (const record of recordsOf(footer)) await readRecord(storage, id, record);
  }
  await lease.assertHeld();
  await mergeIndex(storage, new Set([salvaged.id]));
  await lease.assertHeld();
  await storage.delete([packKey(salvaged.id)]);
}

function chunksIn({ footer }: IndexedPack): number {
  return footer.length / CHUNK_RECORD_BYTES;
}

function packMissing(storage: Storage, id: string): BlockferryError {
  return new BlockferryError({
    code: "PackMissing",
    message: `${packKey(id)} is missing from ${storage.name}; nothing was changed.`,
    remedy:
      "Name packs that `blockferry-agent verify --read-data` reports as damaged. `repair index` removes missing packs from the index.",
    object: packKey(id),
  });
}
