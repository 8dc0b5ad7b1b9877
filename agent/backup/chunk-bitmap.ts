import type { ByteRange } from "../../native-free-io/byte-range.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";

/** One bit a chunk: whether it touches a data range, so that chunks in holes need not be read. */
export class ChunkBitmap {
  private readonly bits: Uint8Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.bits = new Uint8Array(memory);
  }

  static of(ranges: ByteRange[], chunkCount: number): ChunkBitmap {
    const bitmap = new ChunkBitmap(new SharedArrayBuffer(Math.ceil(chunkCount / 8)));
    for (const { offset, length } of ranges) {
      const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
      for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; chunk++) bitmap.set(chunk);
    }
    return bitmap;
  }

  static attach(memory: SharedArrayBuffer): ChunkBitmap {
    return new ChunkBitmap(memory);
  }

  has(chunk: number): boolean {
    return ((this.bits[chunk >>> 3] as number) & (1 << (chunk & 7))) !== 0;
  }

  /** Chunks whose bit is set. */
  get count(): number {
    let count = 0;
    for (const byte of this.bits) {
      for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
    }
    return count;
  }

  private set(chunk: number): void {
    this.bits[chunk >>> 3] = (this.bits[chunk >>> 3] as number) | (1 << (chunk & 7));
  }
}
