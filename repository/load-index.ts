import { BlockferryError } from "../foundation/blockferry-error.js";
import { ChunkIndex, INDEX_ENTRY_BYTES } from "./chunk-index.js";
import { CHUNK_RECORD_BYTES } from "./chunk-record.js";
import { listCondemnations } from "./condemnation.js";
import { EntryList } from "./entry-list.js";
import { entriesOf, type IndexedPack, isIndexKey, maxEntriesIn, readIndexSegment } from "./index-segment.js";
import { LostChunks } from "./lost-chunks.js";
import { readPackFooter } from "./pack-footer.js";
import { packIdOf, packKey } from "./pack-format.js";
import { PackTable } from "./pack-table.js";
import type { Storage, StoredObject } from "./storage/storage.js";
import { wasNotAnswered } from "./storage/storage-errors.js";

export interface LoadedIndex {
  index: ChunkIndex;
  packs: PackTable;
  /** Bytes of every pack that exists, by id. */
  packBytes: Map<string, number>;
  /** Ids of the packs that `prune` is going to remove; some may be gone. */
  condemnedPacks: Set<string>;
  /**
   * Packs that no index segment names: an interrupted backup stored them, or a segment was lost. Their own
   * footers stand in for it, so their chunks are in the index all the same.
   */
  unindexedPacks: IndexedPack[];
  /** What is damaged or missing. The chunks concerned are not in the index. */
  problems: BlockferryError[];
  /** Chunks of packs that are listed and gone. Those that another pack holds too are in the index all the same. */
  lost: LostChunks;
}

export interface LoadOptions {
  /**
   * What to do with packs that are condemned: `exclude` for whoever may come to rely on what it finds; `last` for
   * readers, who find a chunk there only when it is nowhere else.
   */
  condemned: "exclude" | "last";
}

/** How many footers are read at once. */
const FOOTER_READS = 16;
/** While `prune` merges segments, the list of them is soon outdated. */
const MAX_LOADS = 10;

/**
 * Builds the chunk index from the repository: all index segments, checked against the packs that exist, and the
 * footers of the packs that no segment names. A chunk is in the index only if its pack exists at its full size, so a
 * backup never refers to a chunk whose pack is gone; it stores such a chunk again.
 * @throws StorageUnavailable, Interrupted
 */
export async function loadIndex(storage: Storage, options: LoadOptions): Promise<LoadedIndex> {
  let segments = await listSegments(storage);
  for (let loads = 1; ; loads++) {
    const loaded = await loadOnce(storage, segments, options);
    if (loaded.problems.length === 0 || loads === MAX_LOADS) return loaded;
    const now = await listSegments(storage);
    const isSame = now.map(({ key }) => key).join() === segments.map(({ key }) => key).join();
    if (isSame) return loaded;
    segments = now;
  }
}

async function listSegments(storage: Storage): Promise<StoredObject[]> {
  return (await storage.list("index/")).filter(({ key }) => isIndexKey(key));
}

/** Condemnations are listed before the packs: one that ends meanwhile leaves no pack behind that would be missed. */
async function loadOnce(
  storage: Storage,
  segments: StoredObject[],
  { condemned }: LoadOptions,
): Promise<LoadedIndex> {
  const problems: BlockferryError[] = [];
  const condemnations = await listCondemnations(storage).catch((error: unknown) => {
    if (condemned === "exclude") throw error;
    problems.push(asProblem(error));
    return [];
  });
  const condemnedPacks = new Set(condemnations.flatMap(({ packs }) => packs));
  const packBytes = packSizes(await storage.list("packs/"));
  const loader = new IndexLoader(packBytes, segments, condemnedPacks, condemned);
  loader.problems.push(...problems);
  for (const segment of segments) {
    try {
      loader.addSegment(segment.key, await readIndexSegment(storage, segment.key));
    } catch (error) {
      loader.problems.push(asProblem(error));
    }
  }
  const unindexed = loader.unindexed();
  const unindexedPacks = await readFooters(
    storage,
    unindexed.filter(({ id }) => !condemnedPacks.has(id)),
    loader.problems,
  );
  loader.addPacks(unindexedPacks);
  if (condemned === "last") {
    loader.addCondemned();
    loader.addPacks(
      await readFooters(
        storage,
        unindexed.filter(({ id }) => condemnedPacks.has(id)),
        [],
      ),
    );
  }
  const { index, packIds, lost } = loader;
  const packs = PackTable.of(packIds);
  return { index, packs, packBytes, condemnedPacks, unindexedPacks, problems: loader.problems, lost };
}

/** Sizes by pack id; what is no pack is left alone. */
function packSizes(objects: StoredObject[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { key, sizeBytes } of objects) {
    const id = packIdOf(key);
    if (id !== undefined) sizes.set(id, sizeBytes);
  }
  return sizes;
}

class IndexLoader {
  readonly problems: BlockferryError[] = [];
  readonly packIds: string[] = [];
  index: ChunkIndex;
  private readonly packNumbers = new Map<string, number>();
  private readonly reported = new Set<string>();
  readonly lost = new LostChunks();
  /** Entries of condemned packs that exist, numbered already. */
  private readonly condemnedEntries = new EntryList();

  constructor(
    private readonly packBytes: Map<string, number>,
    segments: StoredObject[],
    private readonly condemnedPacks: Set<string>,
    private readonly condemned: LoadOptions["condemned"],
  ) {
    const capacity = segments.reduce((sum, segment) => sum + maxEntriesIn(segment), 1);
    this.index = ChunkIndex.create(capacity);
  }

  addSegment(key: string, segment: Awaited<ReturnType<typeof readIndexSegment>>): void {
    const numbers = segment.packs.map(({ id, sizeBytes }) => this.numberOf(key, id, sizeBytes));
    const lostNumbers = segment.packs.map(({ id }, number) =>
      numbers[number] === undefined ? this.lost.addPack(id) : undefined,
    );
    for (let at = 0; at < segment.entries.length; at += INDEX_ENTRY_BYTES) {
      const listed = segment.entries.readUInt32LE(at + CHUNK_RECORD_BYTES);
      const packNumber = numbers[listed];
      const lostNumber = lostNumbers[listed];
      if (lostNumber !== undefined) this.lost.add(segment.entries, at, lostNumber);
      if (packNumber === undefined) continue;
      segment.entries.writeUInt32LE(packNumber, at + CHUNK_RECORD_BYTES);
      if (!this.condemnedPacks.has(this.packIds[packNumber] as string))
        this.index.insert(segment.entries, at);
      else if (this.condemned === "last") this.condemnedEntries.add(segment.entries, at);
    }
  }

  /** Call it last: a chunk that another pack holds too is read from there. */
  addCondemned(): void {
    this.index = this.index.withRoomFor(this.condemnedEntries.count + 1);
    this.condemnedEntries.insertInto(this.index);
  }

  addPacks(packs: IndexedPack[]): void {
    const chunks = packs.reduce((sum, { footer }) => sum + footer.length / CHUNK_RECORD_BYTES, 0);
    this.index = this.index.withRoomFor(chunks + 1);
    for (const pack of packs) {
      const number = this.packIds.push(pack.id) - 1;
      this.index.insertAll(entriesOf(pack, number));
    }
  }

  /** Packs that exist and that no segment has named. */
  unindexed(): { id: string; sizeBytes: number }[] {
    return [...this.packBytes]
      .filter(([id]) => !this.packNumbers.has(id) && !this.reported.has(id))
      .map(([id, sizeBytes]) => ({ id, sizeBytes }));
  }

  /** The number of a pack that a segment names, or undefined when it does not exist as the segment says. */
  private numberOf(segmentKey: string, id: string, sizeBytes: number): number | undefined {
    const found = this.packBytes.get(id);
    if (found === sizeBytes) {
      const known = this.packNumbers.get(id);
      if (known !== undefined) return known;
      const number = this.packIds.push(id) - 1;
      this.packNumbers.set(id, number);
      return number;
    }
    if (this.condemnedPacks.has(id)) return undefined;
    if (!this.reported.has(id)) this.problems.push(packMissing(segmentKey, id, sizeBytes, found));
    this.reported.add(id);
    return undefined;
  }
}

async function readFooters(
  storage: Storage,
  packs: { id: string; sizeBytes: number }[],
  problems: BlockferryError[],
): Promise<IndexedPack[]> {
  const footers: IndexedPack[] = [];
  const readNext = async () => {
    for (let pack = packs.pop(); pack !== undefined; pack = packs.pop()) {
      try {
        footers.push(await readPackFooter(storage, pack.id, pack.sizeBytes));
      } catch (error) {
        problems.push(asProblem(error));
      }
    }
  };
  await Promise.all(Array.from({ length: FOOTER_READS }, readNext));
  return footers;
}

function packMissing(
  segmentKey: string,
  id: string,
  expectedBytes: number,
  foundBytes: number | undefined,
): BlockferryError {
  const found =
    foundBytes === undefined
      ? "is missing"
      : `has ${foundBytes} bytes where ${expectedBytes} belong, so it is damaged at byte ${Math.min(foundBytes, expectedBytes)}`;
  return new BlockferryError({
    code: foundBytes === undefined ? "PackMissing" : "PackCorrupt",
    message: `${packKey(id)} ${found} (${segmentKey} lists it).`,
    remedy:
      "Bring the object back from a replica. If there is none, the next backup stores again what is still on the devices; `blockferry-agent repair points` says what is lost until then.",
    object: packKey(id),
    offset: Math.min(foundBytes ?? 0, expectedBytes),
  });
}

function asProblem(error: unknown): BlockferryError {
  if (error instanceof BlockferryError && !wasNotAnswered(error)) return error;
  throw error;
}
