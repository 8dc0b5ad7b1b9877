import { BlockferryError } from "../../foundation/errors.js";
import { INDEX_ENTRY_BYTES } from "../format/chunk.js";
import { entriesOf } from "../format/index-segment.js";
import { packKey } from "../format/pack.js";
import { readPackFooter } from "../packs/pack-reader.js";
import { saysLost } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { saysNothing } from "../storage/storage-errors.js";
import { EntryList, FOOTER_READS, type LoadedIndex, listSegments } from "./load-index.js";
import { readIndexSegment } from "./segments.js";

/** A search that reads chunks. */
export interface ChunkSearch<T> {
  /** Looks up chunks in `loaded.index`. Called again when the index has gained chunks. */
  attempt(): Promise<T>;
  /** Returns whether every chunk was found. An attempt can also throw ChunkMissing. */
  isComplete(result: T): boolean;
  /** Called with each index segment that hid chunks. */
  onFalseSegment(problem: BlockferryError): void;
}

/**
 * Reads chunks, and searches every pack before a chunk counts as missing. Suppose that an index segment names
 * a pack with its true size, but lists other chunks than the pack has. If the pack's own segment is lost, the
 * chunks of the pack are hidden. While nothing is missing, no pack is read. Otherwise the footers of all
 * packs are read, once for each loaded index, and only chunks that the index lacks stay in memory.
 * @throws the errors of `attempt`
 */
export async function withHiddenChunks<T>(
  storage: Storage,
  loaded: LoadedIndex,
  { attempt, isComplete, onFalseSegment }: ChunkSearch<T>,
): Promise<T> {
  let incomplete: { result: T } | { error: unknown };
  try {
    const result = await attempt();
    if (isComplete(result)) return result;
    incomplete = { result };
  } catch (error) {
    if (!saysMissing(error)) throw error;
    incomplete = { error };
  }
  const hiding = await addHiddenChunks(storage, loaded);
  if (hiding.size > 0) {
    for (const problem of await falseSegments(storage, hiding)) onFalseSegment(problem);
    return attempt();
  }
  if ("error" in incomplete) throw incomplete.error;
  return incomplete.result;
}

function saysMissing(error: unknown): boolean {
  return saysLost(error) || (error instanceof BlockferryError && error.code === "ChunkMissing");
}

/** Adds the chunks that only footers list. @returns ids of the packs with such chunks */
async function addHiddenChunks(storage: Storage, loaded: LoadedIndex): Promise<Set<string>> {
  const hiding = new Set<string>();
  if (loaded.hasAllFooters) return hiding;
  loaded.hasAllFooters = true;
  const { packs, packBytes, unindexedPacks } = loaded;
  const hasFooter = new Set(unindexedPacks.map(({ id }) => id));
  const found = new EntryList();
  let next = 0;
  const readNext = async () => {
    while (next < packs.count) {
      const number = next++;
      const id = packs.id(number);
      if (hasFooter.has(id)) continue;
      const entries = entriesOf({ id, ...(await footerOf(storage, id, packBytes.get(id) ?? 0)) }, number);
      for (let at = 0; at < entries.length; at += INDEX_ENTRY_BYTES) {
        if (!loaded.index.lacks(entries, at)) continue;
        found.add(entries, at);
        hiding.add(id);
      }
    }
  };
  await Promise.all(Array.from({ length: FOOTER_READS }, readNext));
  loaded.index = loaded.index.withRoomFor(found.count + 1);
  found.insertInto(loaded.index);
  return hiding;
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
      "Nothing is lost. Run `blockferry-agent repair index`, which lists what the packs say. If no pack was damaged and brought back, somebody forged the segment: find out who writes to the repository.",
    object: key,
  });
}
