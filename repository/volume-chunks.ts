import { CHUNK_ID_BYTES, ZERO_CHUNK_ID } from "./chunk-id.js";
import type { ChunkIndex } from "./chunk-index.js";

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
