import { asBlockferryError, type BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import type { ByteRange } from "../../native-free-io/byte-range.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { wrongChunkLength } from "../wrong-chunk-length.js";
import { ChunkCache } from "./chunk-cache.js";
import { dataMissing, type OpenVolume } from "./open-volume.js";

/** How far ahead of a sequential reader chunks are fetched: 8 MiB. */
const AHEAD_CHUNKS = 16;

/** A range of the volume that is either a hole or not. */
export interface Extent extends ByteRange {
  kind: "hole" | "data";
}

export interface VolumeReaderOptions {
  cacheBytes: number;
  /** Told once of each chunk that cannot be read. @param where the chunk belongs in the volume, and where it is stored */
  onUnreadable(error: BlockferryError, where: string): void;
}

/** Reads a volume out of its recovery point, anywhere and in any order, through a cache. */
export class VolumeReader {
  private readonly cache: ChunkCache;
  private readonly told: NumberSet;

  constructor(
    private readonly volume: OpenVolume,
    private readonly options: VolumeReaderOptions,
  ) {
    this.cache = new ChunkCache(options.cacheBytes, volume.readChunk);
    this.told = NumberSet.below(volume.chunks.count);
  }

  get sizeBytes(): number {
    return this.volume.sizeBytes;
  }

  /** Holes and data of a range, in order; neighbours of one kind are one extent. */
  *extents(range: ByteRange): Generator<Extent> {
    let extent: Extent | undefined;
    for (const { kind, offset, length } of this.chunksOf(range)) {
      if (extent?.kind === kind) extent.length += length;
      else {
        if (extent !== undefined) yield extent;
        extent = { kind, offset, length };
      }
    }
    if (extent !== undefined) yield extent;
  }

  /** The same for whoever reads it: data come as pieces of one chunk each. */
  *pieces(range: ByteRange): Generator<Extent> {
    for (const extent of this.extents(range)) {
      if (extent.kind === "hole") yield extent;
      else yield* this.chunksOf(extent);
    }
  }

  /**
   * Reads a piece, proven by the id of its chunk, and fetches what a sequential reader will want next.
   * @returns a view of memory that others may see too
   * @throws ChunkMissing, ChunkCorrupt, ObjectNotFound and whatever else the storage says
   */
  async read({ offset, length }: ByteRange): Promise<Buffer> {
    const position = Math.floor(offset / CHUNK_BYTES);
    const start = offset - position * CHUNK_BYTES;
    return (await this.readChunk(position)).subarray(start, start + length);
  }

  /** Reads every chunk that a range touches, and keeps what the cache has room for. @throws like `read` */
  async prove(range: ByteRange): Promise<void> {
    for (const piece of this.pieces(range)) {
      if (piece.kind === "data") await this.read(piece);
    }
  }

  private async readChunk(position: number): Promise<Buffer> {
    const { volume, cache } = this;
    const entry = volume.chunks.get(position);
    try {
      if (volume.missing.has(position)) throw dataMissing(volume, position);
      const reading = cache.get(entry);
      this.fetchAhead(position);
      const chunk = await reading;
      if (chunk.length !== chunkLength(position, volume.sizeBytes)) {
        throw wrongChunkLength(volume.recordOf(entry), position);
      }
      return chunk;
    } catch (error) {
      this.tell(error, position);
      throw error;
    }
  }

  /** Whoever reads a chunk when the one before is in the cache most likely goes through the volume. */
  private fetchAhead(position: number): void {
    const { chunks } = this.volume;
    const before = position > 0 ? chunks.get(position - 1) : -1;
    if (before < 0 || !this.cache.has(before)) return;
    const end = Math.min(position + 1 + AHEAD_CHUNKS, chunks.count);
    for (let next = position + 1; next < end; next++) {
      const entry = chunks.get(next);
      if (entry >= 0) this.cache.fetch(entry);
    }
  }

  private tell(error: unknown, position: number): void {
    if (this.told.has(position)) return;
    this.told.add(position);
    const { name, chunks, placeOf } = this.volume;
    const entry = chunks.get(position);
    const place = entry < 0 ? "no pack" : placeOf(entry);
    this.options.onUnreadable(
      asBlockferryError(error),
      `byte ${position * CHUNK_BYTES} of volume ${name}, in ${place}`,
    );
  }

  /** The chunks that a range touches, each cut to it. A chunk that is missing is no hole. */
  private *chunksOf({ offset, length }: ByteRange): Generator<Extent> {
    const { chunks, missing } = this.volume;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const position = Math.floor(at / CHUNK_BYTES);
      const next = Math.min(end, (position + 1) * CHUNK_BYTES);
      const isHole = chunks.get(position) < 0 && !missing.has(position);
      yield { kind: isHole ? "hole" : "data", offset: at, length: next - at };
      at = next;
    }
  }
}

function chunkLength(position: number, sizeBytes: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - position * CHUNK_BYTES);
}
