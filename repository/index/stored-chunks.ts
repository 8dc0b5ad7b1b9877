import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES, INDEX_ENTRY_BYTES } from "../format/chunk.js";
import { entriesOf, type IndexedPack } from "../format/index-segment.js";
import { PackTable, packKey } from "../format/pack.js";
import { readPackFooter } from "../packs/pack-reader.js";
import { provesLoss } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { saysNothing } from "../storage/storage-errors.js";
import { ChunkIndex } from "./chunk-index.js";
import { ChunkPlaces } from "./chunk-places.js";
import {
  EntryList,
  FOOTER_READS,
  type LoadedIndex,
  type LoadOptions,
  LostChunks,
  listSegments,
  loadIndex,
} from "./load-index.js";
import { readIndexSegment } from "./segments.js";

/** The chunks of a repository: finds them by id, and reads them by index entry from any pack that has them. */
export class StoredChunks extends ChunkPlaces implements LoadedIndex {
  readonly packBytes: LoadedIndex["packBytes"];
  readonly condemnedPacks: LoadedIndex["condemnedPacks"];
  readonly unindexedPacks: LoadedIndex["unindexedPacks"];
  readonly unreadable: LoadedIndex["unreadable"];
  readonly strange: LoadedIndex["strange"];
  readonly problems: LoadedIndex["problems"];
  readonly lost: LoadedIndex["lost"];
  /** Whether the index also includes the chunks that only footers of packs list. */
  private hasAllFooters = false;

  private constructor(storage: Storage, loaded: LoadedIndex) {
    super(storage, loaded.index, loaded.packs);
    this.packBytes = loaded.packBytes;
    this.condemnedPacks = loaded.condemnedPacks;
    this.unindexedPacks = loaded.unindexedPacks;
    this.unreadable = loaded.unreadable;
    this.strange = loaded.strange;
    this.problems = loaded.problems;
    this.lost = loaded.lost;
  }

  /** Loads the index of a repository. @throws the errors of `loadIndex` */
  static async load(storage: Storage, options: LoadOptions): Promise<StoredChunks> {
    return new StoredChunks(storage, await loadIndex(storage, options));
  }

  /** Returns the chunks that the footer of a pack lists. */
  static ofPack(storage: Storage, pack: IndexedPack): StoredChunks {
    const index = ChunkIndex.create(pack.footer.length / CHUNK_RECORD_BYTES + 1);
    index.insertAll(entriesOf(pack, 0));
    return new StoredChunks(storage, {
      ...{ index, packs: PackTable.of([pack.id]), packBytes: new Map(), condemnedPacks: new Set() },
      ...{ unindexedPacks: [], unreadable: [], strange: [], problems: [], lost: new LostChunks() },
    });
  }

  /**
   * Reads chunks, and searches every pack before a chunk counts as missing. Suppose that an index segment
   * names a pack with its true size, but lists other chunks than the pack has. If the pack's own segment is
   * lost, the chunks of the pack are hidden. While nothing is missing, no pack is read. Otherwise the footers
   * of all packs are read, once for each loaded index, and only chunks that the index lacks stay in memory.
   * @throws the errors of `attempt`
   */
  async search<T>({ attempt, isComplete = () => true, onFalseSegment }: ChunkSearch<T>): Promise<T> {
    let incomplete: { result: T } | { error: unknown };
    try {
      const result = await attempt();
      if (isComplete(result)) return result;
      incomplete = { result };
    } catch (error) {
      if (!saysMissing(error)) throw error;
      incomplete = { error };
    }
    const hiding = await this.addHiddenChunks();
    if (hiding.size > 0) {
      for (const problem of await falseSegments(this.storage, hiding)) onFalseSegment(problem);
      return attempt();
    }
    if ("error" in incomplete) throw incomplete.error;
    return incomplete.result;
  }

  /** Adds the chunks that only footers list. @returns ids of the packs with such chunks */
  private async addHiddenChunks(): Promise<Set<string>> {
    const hiding = new Set<string>();
    if (this.hasAllFooters) return hiding;
    this.hasAllFooters = true;
    const { packs, packBytes, unindexedPacks } = this;
    const hasFooter = new Set(unindexedPacks.map(({ id }) => id));
    const found = new EntryList();
    let next = 0;
    const readNext = async () => {
      while (next < packs.count) {
        const number = next++;
        const id = packs.id(number);
        if (hasFooter.has(id)) continue;
        const footer = await footerOf(this.storage, id, packBytes.get(id) ?? 0);
        const entries = entriesOf({ id, ...footer }, number);
        for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) {
          if (!this.currentIndex.lacks(entries, at)) continue;
          found.add(entries, at);
          hiding.add(id);
        }
      }
    };
    await Promise.all(Array.from({ length: FOOTER_READS }, readNext));
    this.currentIndex = this.currentIndex.withRoomFor(found.count + 1);
    found.insertInto(this.currentIndex);
    return hiding;
  }
}

/** A search that reads chunks. */
export interface ChunkSearch<T> {
  /** Looks up chunks in `index`. Called again when the index has gained chunks. */
  attempt(): Promise<T>;
  /** Returns whether every chunk was found. An attempt can also throw ChunkMissing. Default: true */
  isComplete?(result: T): boolean;
  /** Called with each index segment that hid chunks. */
  onFalseSegment(problem: BlockferryError): void;
}

function saysMissing(error: unknown): boolean {
  return provesLoss(error) || (error instanceof BlockferryError && error.code === "ChunkMissing");
}

const NO_FOOTER = Buffer.alloc(0);

/**
 * Reads a footer. A damaged one counts as empty, and the index keeps the entries of the segments.
 * @throws errors that say nothing about the pack, for example an outage
 */
async function footerOf(storage: Storage, id: string, sizeBytes: number) {
  try {
    return await readPackFooter(storage, id, sizeBytes);
  } catch (error) {
    if (saysNothing(error)) throw error;
    return { sizeBytes, footer: NO_FOOTER };
  }
}

/** Returns an error for each segment that lists these packs: none of them lists all chunks in them. */
async function falseSegments(storage: Storage, hiding: ReadonlySet<string>): Promise<BlockferryError[]> {
  const problems: BlockferryError[] = [];
  for (const { key } of await listSegments(storage)) {
    const segment = await readIndexSegment(storage, key).catch((error: unknown) => {
      if (saysNothing(error)) throw error;
      return undefined;
    });
    const listed = new Set(segment?.packs.map(({ id }) => id).filter((id) => hiding.has(id)));
    const [first] = listed;
    if (first !== undefined) problems.push(indexFalse(key, first, listed.size));
  }
  return problems;
}

function indexFalse(key: string, pack: string, packs: number): BlockferryError {
  const others = packs === 1 ? "" : `, and of ${packs - 1} more packs`;
  return new BlockferryError({
    code: "IndexFalse",
    message: `${key} does not list all chunks of ${packKey(pack)}${others}. They were found in the packs themselves.`,
    remedy:
      "Nothing is lost. Run `blockferry-agent repair index`, which lists the chunks that the packs hold. If no pack was damaged and then restored, the segment was forged: find out who writes to the repository.",
    object: key,
  });
}
