import { BlockferryError } from "../../foundation/errors.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import { CHUNK_ID_BYTES, ZERO_CHUNK_ID } from "./chunk.js";

/** Children of a node. A node of the lowest level maps 2,048 chunks of 512 KiB, which is 1 GiB. */
export const MAP_FANOUT = 2048;

/** A node's entry in the index, or -1 for a node of zeros. */
type NodeEntry = number;

/**
 * Stores a volume's block map and returns its root id. The root id proves every chunk of the volume (a Merkle
 * tree).
 *
 * The lowest nodes list the ids of 2,048 chunks each; the nodes above list the ids of 2,048 nodes. There is
 * at least one level, and the root is the only node of the highest one. Nodes are stored as chunks, so parts
 * that did not change since an earlier recovery point cost nothing. Zeros are the zero id on every level.
 *
 * @param storeChunk stores a chunk and returns its index entry
 */
export async function storeBlockMap(
  chunks: VolumeChunks,
  index: ChunkIndex,
  storeChunk: (payload: Buffer) => Promise<number>,
): Promise<Buffer> {
  let level = chunks;
  do {
    const nodes = VolumeChunks.create(Math.ceil(level.count / MAP_FANOUT));
    for (let node = 0; node < nodes.count; node++) {
      const ids = level.ids(index, node * MAP_FANOUT, MAP_FANOUT);
      if (ids !== undefined) nodes.set(node, await storeChunk(ids));
    }
    level = nodes;
  } while (level.count > 1);
  return level.ids(index, 0, 1) ?? ZERO_CHUNK_ID;
}

/** Returns the number of nodes in a volume's block map. */
export function mapNodeCount(chunks: number): number {
  let nodes = 0;
  let level = chunks;
  do {
    level = Math.ceil(level / MAP_FANOUT);
    nodes += level;
  } while (level > 1);
  return nodes;
}

/** Finds chunks by id, and reads them by index entry. */
export interface ChunkReader {
  readonly index: ChunkIndex;
  /** Reads and proves the chunk of an index entry. */
  read(entry: number): Promise<Buffer>;
}

/** Handles the parts of a block map that cannot be loaded. Either function may throw, which ends the load. */
export interface BlockMapLosses {
  /** Called for a chunk that is in the map but not in the index: its data are missing. */
  onMissingChunk(position: number, id: Buffer): void;
  /** Called for a node that cannot be read: everything below it is unknown. `length` counts chunks. */
  onMissingNode(position: number, length: number, error: unknown): void;
}

/** Parallel reads of nodes, each of 64 KiB. */
export const NODE_READS = 16;

/** Reads a volume's block map from the root down. @param count chunks in the volume */
export async function loadBlockMap(
  root: Buffer,
  count: number,
  reader: ChunkReader,
  losses: BlockMapLosses,
): Promise<VolumeChunks> {
  if (count === 0) return VolumeChunks.create(0);
  let level = VolumeChunks.create(1);
  level.setIds(reader.index, 0, root, (_, id) => losses.onMissingNode(0, count, missingNode(id)));
  for (const span of nodeSpans(count)) {
    const below = VolumeChunks.create(Math.ceil(count / (span / MAP_FANOUT)));
    await loadLevel({ level, below, span, count }, reader, losses);
    level = below;
  }
  return level;
}

/** Returns the number of chunks below one node of each level. The level of the root comes first. */
export function nodeSpans(count: number): number[] {
  const spans = [MAP_FANOUT];
  while ((spans[0] as number) < count) spans.unshift((spans[0] as number) * MAP_FANOUT);
  return spans;
}

/** A level of nodes to load. */
interface LevelLoad {
  level: VolumeChunks;
  /** Receives the children of the nodes. */
  below: VolumeChunks;
  /** Chunks below one node. */
  span: number;
  /** Chunks in the volume. */
  count: number;
}

async function loadLevel(
  { level, below, span, count }: LevelLoad,
  reader: ChunkReader,
  losses: BlockMapLosses,
): Promise<void> {
  const childSpan = span / MAP_FANOUT;
  let next = 0;
  const loadNodes = async () => {
    while (next < level.count) {
      const node = next++;
      const entry: NodeEntry = level.get(node);
      if (entry < 0) continue;
      const firstChunk = node * span;
      const length = Math.min(span, count - firstChunk);
      try {
        const ids = await readNode(entry, Math.ceil(length / childSpan), reader);
        below.setIds(reader.index, node * MAP_FANOUT, ids, (child, id) => {
          if (childSpan === 1) losses.onMissingChunk(child, id);
          else {
            const start = child * childSpan;
            losses.onMissingNode(start, Math.min(childSpan, count - start), missingNode(id));
          }
        });
      } catch (error) {
        losses.onMissingNode(firstChunk, length, error);
      }
    }
  };
  await Promise.all(Array.from({ length: NODE_READS }, loadNodes));
}

async function readNode(entry: number, children: number, reader: ChunkReader): Promise<Buffer> {
  const ids = await reader.read(entry);
  if (ids.length !== children * CHUNK_ID_BYTES)
    throw malformedNode(reader.index.id(entry), ids.length, children);
  return ids;
}

function missingNode(id: Buffer): BlockferryError {
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Block-map node ${id.toString("hex")} is in no pack of the repository.`,
    remedy: "Run `blockferry-agent verify`; restore the missing pack from a replica if there is one.",
    object: id.toString("hex"),
  });
}

function malformedNode(id: Buffer, bytes: number, children: number): BlockferryError {
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `Block-map node ${id.toString("hex")} has ${bytes} bytes, which do not hold its ${children} ids.`,
    remedy: "The recovery point names a chunk that is not part of its block map; report this as a bug.",
    object: id.toString("hex"),
  });
}

const ENTRY_BYTES = Uint32Array.BYTES_PER_ELEMENT;
const ZEROS_AT_ONCE = 4096;
const ZEROS = Buffer.alloc(ZEROS_AT_ONCE * ENTRY_BYTES);

/**
 * The chunk at each position of a volume: its entry in the index, or none for zeros. Takes 4 bytes a
 * position, in memory that all threads share. Only one thread writes a position; others read it after that
 * thread has reported its end.
 */
export class VolumeChunks {
  private readonly references: Uint32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.references = new Uint32Array(memory);
  }

  /** Creates a volume of zeros. @param count positions */
  static create(count: number): VolumeChunks {
    return new VolumeChunks(new SharedArrayBuffer(count * ENTRY_BYTES));
  }

  static attach(memory: SharedArrayBuffer): VolumeChunks {
    return new VolumeChunks(memory);
  }

  get count(): number {
    return this.references.length;
  }

  set(position: number, entry: number): void {
    this.references[position] = entry + 1;
  }

  /** Returns the entry of the chunk at this position, or -1 for zeros. */
  get(position: number): number {
    return (this.references[position] as number) - 1;
  }

  /** Calls `use` for every position that is not zeros, in order. Skips long runs of zeros in large steps. */
  forEachChunk(use: (position: number, entry: number) => void): void {
    const bytes = Buffer.from(this.memory);
    for (let start = 0; start < this.count; start += ZEROS_AT_ONCE) {
      const end = Math.min(start + ZEROS_AT_ONCE, this.count);
      const here = bytes.subarray(start * ENTRY_BYTES, end * ENTRY_BYTES);
      if (here.equals(ZEROS.subarray(0, here.length))) continue;
      for (let position = start; position < end; position++) {
        const entry = this.get(position);
        if (entry >= 0) use(position, entry);
      }
    }
  }

  /** Returns the ids of positions `[start, start + count)`, concatenated; undefined when all are zeros. */
  ids(index: ChunkIndex, start: number, count: number): Buffer | undefined {
    const end = Math.min(start + count, this.count);
    const ids = Buffer.alloc((end - start) * CHUNK_ID_BYTES);
    let allZero = true;
    for (let position = start; position < end; position++) {
      const entry = this.get(position);
      if (entry < 0) continue;
      allZero = false;
      index.id(entry).copy(ids, (position - start) * CHUNK_ID_BYTES);
    }
    return allZero ? undefined : ids;
  }

  /**
   * Sets positions from `start` to the chunks with these ids; reports the ids that the index does not know.
   */
  setIds(
    index: ChunkIndex,
    start: number,
    ids: Buffer,
    onUnknown: (position: number, id: Buffer) => void,
  ): void {
    for (let at = 0; at < ids.length; at += CHUNK_ID_BYTES) {
      const id = ids.subarray(at, at + CHUNK_ID_BYTES);
      if (id.equals(ZERO_CHUNK_ID)) continue;
      const position = start + at / CHUNK_ID_BYTES;
      const entry = index.find(id);
      if (entry < 0) onUnknown(position, id);
      else this.set(position, entry);
    }
  }
}
