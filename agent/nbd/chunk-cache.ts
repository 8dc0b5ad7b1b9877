import { CHUNK_BYTES } from "../../repository/chunk-id.js";

/** Chunks being read ahead at once; further requests to read ahead are ignored. */
const AHEAD_IN_FLIGHT = 32;

/**
 * A cache of decoded and proven chunks, by their index entries.
 * Positions with the same content share one chunk. A chunk that is being read already counts, so other
 * callers wait for the same read.
 */
export class ChunkCache {
  /** The least recently used comes first. */
  private readonly chunks = new Map<number, Promise<Buffer>>();
  private readonly capacity: number;
  private ahead = 0;

  /** @param read reads and proves the chunk of an entry */
  constructor(
    capacityBytes: number,
    private readonly read: (entry: number) => Promise<Buffer>,
  ) {
    this.capacity = Math.max(1, Math.floor(capacityBytes / CHUNK_BYTES));
  }

  has(entry: number): boolean {
    return this.chunks.has(entry);
  }

  /** @throws the errors of `read`; the next call reads again */
  get(entry: number): Promise<Buffer> {
    const chunk = this.chunks.get(entry) ?? this.load(entry);
    this.chunks.delete(entry);
    this.chunks.set(entry, chunk);
    return chunk;
  }

  /** Starts to read a chunk that will be requested. */
  fetch(entry: number): void {
    if (this.chunks.has(entry) || this.ahead >= AHEAD_IN_FLIGHT) return;
    this.ahead++;
    this.load(entry)
      .catch(() => undefined)
      .finally(() => this.ahead--);
  }

  private load(entry: number): Promise<Buffer> {
    const chunk = this.read(entry);
    this.chunks.set(entry, chunk);
    const [oldest] = this.chunks.keys();
    if (this.chunks.size > this.capacity && oldest !== undefined) this.chunks.delete(oldest);
    chunk.catch(() => {
      if (this.chunks.get(entry) === chunk) this.chunks.delete(entry);
    });
    return chunk;
  }
}
