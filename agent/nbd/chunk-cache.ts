import { CHUNK_BYTES } from "../../repository/chunk-id.js";

/** Chunks that are being read ahead at once; what is asked for beyond that is left for later. */
const AHEAD_IN_FLIGHT = 32;

/**
 * The chunks used last, decoded and proven, by their entries in the index: positions with the same content share one. A
 * chunk that is being read already counts, so whoever else wants it waits for the same read.
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

  /** @throws whatever `read` throws; the next call reads again */
  get(entry: number): Promise<Buffer> {
    const chunk = this.chunks.get(entry) ?? this.load(entry);
    this.chunks.delete(entry);
    this.chunks.set(entry, chunk);
    return chunk;
  }

  /** Begins to read a chunk that will be asked for. */
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
