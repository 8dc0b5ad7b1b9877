import { CHUNK_ID_BYTES, ZERO_CHUNK_ID } from "./chunk-id.js";
import type { ChunkIndex } from "./chunk-index.js";

/**
 * Which chunk stands where in a volume: for each position the chunk's entry in the index, or none for zeros. 4 bytes
 * a position, in memory that all threads share; every position is written by one thread only, and read by others
 * after that thread has reported its end.
 */
export class VolumeChunks {
  private readonly references: Uint32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.references = new Uint32Array(memory);
  }

  /** @param count positions, all of them zeros at first */
  static create(count: number): VolumeChunks {
    return new VolumeChunks(new SharedArrayBuffer(count * Uint32Array.BYTES_PER_ELEMENT));
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

  /** @returns the entry of the chunk at this position, or -1 for zeros */
  get(position: number): number {
    return (this.references[position] as number) - 1;
  }

  /** The ids of positions `[start, start + count)`, one after the other; undefined when all are zeros. */
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

  /** Sets positions from `start` on to the chunks that `ids` names; hands over the ids that the index does not know. */
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
