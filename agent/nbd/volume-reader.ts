import { asBlockferryError, type BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import type { ByteRange } from "../../native-free-io/byte-range.js";
import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { wrongChunkLength } from "../wrong-chunk-length.js";
import { ChunkCache } from "./chunk-cache.js";
import { dataMissing, type OpenVolume } from "./open-volume.js";

/** How far ahead of a sequential reader chunks are fetched: 8 MiB. */
const AHEAD_CHUNKS = 16;

/** A range of the volume that is either a hole or data. */
export interface Extent extends ByteRange {
  kind: "hole" | "data";
}

export interface VolumeReaderOptions {
  cacheBytes: number;
  /**
   * Called once for each chunk that cannot be read.
   * @param where the chunk's position in the volume, and its place in a pack
   */
  onUnreadable(error: BlockferryError, where: string): void;
}

/** Reads any range of a volume from its recovery point, through a cache. */
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

  /** Yields the holes and data of a range, in order; adjacent ranges of one kind are one extent. */
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

  /** Yields the same for reading: data are split into pieces of one chunk each. */
  *pieces(range: ByteRange): Generator<Extent> {
    for (const extent of this.extents(range)) {
      if (extent.kind === "hole") yield extent;
      else yield* this.chunksOf(extent);
    }
  }

  /**
   * Reads a piece, proven by the id of its chunk, and fetches the next chunks for a sequential reader.
   * @returns a view of memory that other callers may share
   * @throws ChunkMissing, ChunkCorrupt, ObjectNotFound and other storage errors
   */
  async read({ offset, length }: ByteRange): Promise<Buffer> {
    const position = Math.floor(offset / CHUNK_BYTES);
    const start = offset - position * CHUNK_BYTES;
    return (await this.readChunk(position)).subarray(start, start + length);
  }

  /**
   * Reads every chunk that a range touches, and caches as many as fit.
   * @throws the errors of `read`
   */
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
        throw wrongChunkLength(volume.idOf(entry), chunk.length, position);
      }
      return chunk;
    } catch (error) {
      this.tell(error, position);
      throw error;
    }
  }

  /** Fetches the next chunks if the previous one is cached: the client is probably reading sequentially. */
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

  /** Yields the chunks that a range touches, each cut to it. A missing chunk is not a hole. */
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
