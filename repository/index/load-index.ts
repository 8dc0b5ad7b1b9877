import { randomInt } from "node:crypto";
import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES, INDEX_ENTRY_BYTES } from "../format/chunk.js";
import { entriesOf, type IndexedPack, isIndexKey } from "../format/index-segment.js";
import { PackTable, packIdOf, packKey } from "../format/pack.js";
import { readPackFooter } from "../packs/pack-reader.js";
import { listCondemnations } from "../protocol/condemnation.js";
import type { Storage, StoredObject } from "../storage/storage.js";
import { wasNotAnswered } from "../storage/storage-errors.js";
import { noteUnknownNames } from "../storage/unknown-names.js";
import { ChunkIndex, PAGE_ENTRIES } from "./chunk-index.js";
import { maxEntriesIn, readIndexSegment } from "./segments.js";

export interface LoadedIndex {
  index: ChunkIndex;
  packs: PackTable;
  /** Size in bytes of every existing pack, by id. */
  packBytes: Map<string, number>;
  /** Ids of the packs that `prune` is going to remove; some may already be gone. */
  condemnedPacks: Set<string>;
  /**
   * Packs that no index segment names with their size: an interrupted backup stored them, a segment was lost,
   * or one was forged. Their own footers replace the segment, so their chunks are in the index.
   */
  unindexedPacks: IndexedPack[];
  /**
   * Errors of unreadable condemnations. No pack is removed because of them, so all chunks are in the index.
   */
  unreadable: BlockferryError[];
  /** Errors of objects in `packs/` and `index/` with names that blockferry never writes. */
  strange: BlockferryError[];
  /** Errors of damaged or missing objects. The chunks concerned are not in the index. */
  problems: BlockferryError[];
  /**
   * Chunks of listed packs that are gone. A chunk that another pack also has is in the index nevertheless.
   */
  lost: LostChunks;
}

export interface LoadOptions {
  /**
   * Handling of condemned packs: `exclude` for a run that may start to rely on the chunks that it finds;
   * `last` for readers, which find a chunk there only if no other pack has it.
   */
  condemned: "exclude" | "last";
}

/** Footers that are read at once. */
export const FOOTER_READS = 16;
/** While `prune` merges segments, the list of them soon becomes outdated. */
const MAX_LOADS = 10;

/**
 * Builds the chunk index of a repository. Reads all index segments, checked against the existing packs, and
 * the footers of the packs that no segment names with their size. A chunk is in the index with each place in
 * a pack of full size. So a backup never refers to a chunk whose packs are gone; it stores such a chunk
 * again.
 * @throws StorageUnavailable, Interrupted
 */
export async function loadIndex(storage: Storage, options: LoadOptions): Promise<LoadedIndex> {
  const strange: BlockferryError[] = [];
  let segments = await listSegments(storage, strange);
  for (let loads = 1; ; loads++) {
    const once = await loadOnce(storage, segments, options);
    const loaded = { ...once, strange: [...strange, ...once.strange] };
    if (loaded.problems.length === 0 || loads === MAX_LOADS) return loaded;
    const now = await listSegments(storage);
    const isSame = now.map(({ key }) => key).join() === segments.map(({ key }) => key).join();
    if (isSame) return loaded;
    segments = now;
  }
}

/** @param strange gets the error of objects with other names */
export async function listSegments(
  storage: Storage,
  strange: BlockferryError[] = [],
): Promise<StoredObject[]> {
  const objects = await storage.list("index/");
  noteUnknownNames(objects, isIndexKey, strange);
  return objects.filter(({ key }) => isIndexKey(key));
}

/**
 * Loads the index once. Lists condemnations before packs: a condemnation that ends in between leaves no pack
 * behind that would be missed.
 */
async function loadOnce(
  storage: Storage,
  segments: StoredObject[],
  { condemned }: LoadOptions,
): Promise<LoadedIndex> {
  const { condemnations, unreadable } = await listCondemnations(storage);
  const condemnedPacks = new Set(condemnations.flatMap(({ packs }) => packs));
  const objects = await storage.list("packs/");
  const packBytes = packSizes(objects);
  const strange: BlockferryError[] = [];
  noteUnknownNames(objects, (key) => packIdOf(key) !== undefined, strange);
  const loader = new IndexLoader(packBytes, segments, condemnedPacks, condemned);
  for (const segment of inRandomOrder(segments)) {
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
    (id, problem) => loader.reportUnreadable(id, problem),
  );
  loader.addPacks(unindexedPacks);
  if (condemned === "last") {
    loader.addCondemned();
    loader.addPacks(
      await readFooters(
        storage,
        unindexed.filter(({ id }) => condemnedPacks.has(id)),
        () => undefined,
      ),
    );
  }
  const { index, packIds, lost } = loader;
  const packs = PackTable.of(packIds);
  return {
    index,
    packs,
    packBytes,
    condemnedPacks,
    unindexedPacks,
    ...{ unreadable, strange },
    problems: loader.problems,
    lost,
  };
}

/**
 * Returns the segments in random order. The order of a chunk's places must not depend on the names of
 * objects, which a hostile writer can choose.
 */
function inRandomOrder(segments: StoredObject[]): StoredObject[] {
  return segments
    .map((segment) => ({ segment, rank: randomInt(2 ** 47) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ segment }) => segment);
}

/** Returns pack sizes by id; objects that are not packs are left out. */
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
  /** Entries of existing condemned packs, already numbered. */
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

  /** Adds the condemned packs. Called last: a chunk that another pack also has is read from there. */
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

  /**
   * Returns existing packs that no segment has named with their size: a forged segment does not hide a pack.
   */
  unindexed(): { id: string; sizeBytes: number }[] {
    return [...this.packBytes]
      .filter(([id]) => !this.packNumbers.has(id))
      .map(([id, sizeBytes]) => ({ id, sizeBytes }));
  }

  /** Reports a pack with an unreadable footer, unless its size has already been reported. */
  reportUnreadable(id: string, problem: BlockferryError): void {
    if (!this.reported.has(id)) this.problems.push(problem);
  }

  /**
   * Returns the number of a pack that a segment names; undefined if the pack does not exist with that size.
   */
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
  onUnreadable: (id: string, problem: BlockferryError) => void,
): Promise<IndexedPack[]> {
  const footers: IndexedPack[] = [];
  const readNext = async () => {
    for (let pack = packs.pop(); pack !== undefined; pack = packs.pop()) {
      try {
        footers.push(await readPackFooter(storage, pack.id, pack.sizeBytes));
      } catch (error) {
        onUnreadable(pack.id, asProblem(error));
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
      : `has ${foundBytes} bytes instead of ${expectedBytes}, so it is damaged at byte ${Math.min(foundBytes, expectedBytes)}`;
  return new BlockferryError({
    code: foundBytes === undefined ? "PackMissing" : "PackCorrupt",
    message: `${packKey(id)} ${found} (${segmentKey} lists it).`,
    remedy:
      "Restore the object from a replica. If there is none, the next backup stores the data again that are still on the devices; `blockferry-agent repair points` reports the data that are lost until then.",
    object: packKey(id),
    offset: Math.min(foundBytes ?? 0, expectedBytes),
  });
}

function asProblem(error: unknown): BlockferryError {
  if (error instanceof BlockferryError && !wasNotAnswered(error)) return error;
  throw error;
}

/**
 * Chunks that were lost with their packs. Index segments list these packs, but they are gone, or have a
 * different size now.
 */
export class LostChunks {
  private readonly entries = new EntryList();
  private readonly packIds: string[] = [];
  private index: ChunkIndex | undefined;

  /** Adds a pack. @returns the pack number for its entries */
  addPack(id: string): number {
    return this.packIds.push(id) - 1;
  }

  /** Adds the entry at byte `at`, and changes it to refer to the pack. */
  add(entries: Buffer, at: number, packNumber: number): void {
    entries.writeUInt32LE(packNumber, at + CHUNK_RECORD_BYTES);
    this.entries.add(entries, at);
  }

  /**
   * Returns the id of the pack that a chunk was lost with; undefined if no segment lists it. Call it after
   * all additions.
   */
  packOf(id: Buffer): string | undefined {
    this.index ??= this.makeIndex();
    const entry = this.index.find(id);
    return entry < 0 ? undefined : this.packIds[this.index.packNumber(entry)];
  }

  private makeIndex(): ChunkIndex {
    const index = ChunkIndex.create(this.entries.count + 1);
    this.entries.insertInto(index);
    return index;
  }
}

/** Index entries in order of insertion. They take 56 bytes each, and keep no segment in memory. */
export class EntryList {
  private readonly pages: Buffer[] = [];
  private length = 0;

  get count(): number {
    return this.length;
  }

  /** Adds the entry at byte `at`. */
  add(from: Buffer, at: number): void {
    const place = this.length % PAGE_ENTRIES;
    if (place === 0) this.pages.push(Buffer.allocUnsafe(PAGE_ENTRIES * INDEX_ENTRY_BYTES));
    from.copy(this.pages.at(-1) as Buffer, place * INDEX_ENTRY_BYTES, at, at + INDEX_ENTRY_BYTES);
    this.length++;
  }

  /** Inserts all entries into an index, which must have room for them. */
  insertInto(index: ChunkIndex): void {
    for (let entry = 0; entry < this.length; entry++) {
      const page = this.pages[Math.floor(entry / PAGE_ENTRIES)] as Buffer;
      index.insert(page, (entry % PAGE_ENTRIES) * INDEX_ENTRY_BYTES);
    }
  }
}
