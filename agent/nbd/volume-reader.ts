import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import type { VolumeChunks } from "../../repository/format/block-map.js";
import { CHUNK_BYTES, chunkCount, chunkLength } from "../../repository/format/chunk.js";
import { packKey } from "../../repository/format/pack.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Storage } from "../../repository/storage/storage.js";
import { saysNothing } from "../../repository/storage/storage-errors.js";
import { wrongChunkLength } from "../restore/decode-group.js";

/** A volume of a recovery point whose chunks can be read one by one. */
export interface ReadableVolume {
  name: string;
  point: string;
  sizeBytes: number;
  /** The entry of each chunk; -1 for zeros or missing data. */
  chunks: VolumeChunks;
  /** Positions, by chunk number, whose data are in no pack. */
  missing: NumberSet;
  /** Damage and losses that the index found. They may concern only other volumes. */
  problems: BlockferryError[];
  /** Index segments that hid chunks of the volume. */
  falseSegments: BlockferryError[];
  /**
   * Reads and proves the chunk of an entry.
   * @throws ChunkCorrupt, ObjectNotFound
   */
  readChunk(entry: number): Promise<Buffer>;
  idOf(entry: number): Buffer;
  /** Returns where a chunk is stored, for messages: its pack and the byte in it. */
  placeOf(entry: number): string;
}

/** Loads the index and the block map of a volume. Missing data are not an error yet. */
export async function openVolume(
  storage: Storage,
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
): Promise<ReadableVolume> {
  const stored = await StoredChunks.load(storage, { condemned: "last" });
  const falseSegments: BlockferryError[] = [];
  const open = await stored.search({
    attempt: () => openWith(stored, point, volume),
    isComplete: ({ missing }) => missing[Symbol.iterator]().next().done === true,
    onFalseSegment: (problem) => falseSegments.push(problem),
  });
  return { ...open, falseSegments };
}

async function openWith(
  stored: StoredChunks,
  point: RecoveryPoint,
  volume: RecoveryPointVolume,
): Promise<Omit<ReadableVolume, "falseSegments">> {
  const { name, sizeBytes } = volume;
  const problems = [...stored.problems];
  const missing = NumberSet.below(chunkCount(sizeBytes));
  const chunks = await stored.loadMap(volume, {
    onMissingChunk: (position) => missing.add(position),
    onMissingNode: (start, length, error) => {
      if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
      problems.push(error);
      missing.addRange(start, length);
    },
  });
  return {
    ...{ name, point: point.id, sizeBytes, chunks, missing, problems },
    readChunk: (entry) => stored.read(entry),
    idOf: (entry) => stored.index.id(entry),
    placeOf: (entry) => `${packKey(stored.packOf(entry))} at byte ${stored.index.record(entry).offset}`,
  };
}

/** @param position chunk number in the volume */
export function positionMissing(
  { name, point, problems }: ReadableVolume,
  position: number,
): BlockferryError {
  const [cause] = problems;
  const offset = position * CHUNK_BYTES;
  return new BlockferryError({
    code: "ChunkMissing",
    message: `Volume ${name} of recovery point ${point} lacks its data at byte ${offset}. ${cause?.message ?? "No pack holds its chunk."}`,
    remedy:
      "Run `blockferry-agent verify` to see all missing data; restore the pack from a replica if there is one.",
    object: cause?.object ?? name,
    offset,
  });
}

/** How far ahead of a sequential reader chunks are fetched: 8 MiB. */
const AHEAD_CHUNKS = 16;

/** A range of the volume that is either a hole or data. */
export interface MappedExtent extends ByteRange {
  kind: "hole" | "data";
}

interface VolumeReaderOptions {
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
  private readonly reported: NumberSet;

  constructor(
    private readonly volume: ReadableVolume,
    private readonly options: VolumeReaderOptions,
  ) {
    this.cache = new ChunkCache(options.cacheBytes, volume.readChunk);
    this.reported = NumberSet.below(volume.chunks.count);
  }

  get sizeBytes(): number {
    return this.volume.sizeBytes;
  }

  /** Yields the holes and data of a range, in order; adjacent ranges of one kind are one extent. */
  *extents(range: ByteRange): Generator<MappedExtent> {
    let extent: MappedExtent | undefined;
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
  *pieces(range: ByteRange): Generator<MappedExtent> {
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
      if (volume.missing.has(position)) throw positionMissing(volume, position);
      const reading = cache.get(entry);
      this.fetchAhead(position);
      const chunk = await reading;
      if (chunk.length !== chunkLength(volume.sizeBytes, position)) {
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
    if (this.reported.has(position)) return;
    this.reported.add(position);
    const { name, chunks, placeOf } = this.volume;
    const entry = chunks.get(position);
    const place = entry < 0 ? "no pack" : placeOf(entry);
    this.options.onUnreadable(
      asBlockferryError(error),
      `byte ${position * CHUNK_BYTES} of volume ${name}, in ${place}`,
    );
  }

  /** Yields the chunks that a range touches, each cut to it. A missing chunk is not a hole. */
  private *chunksOf({ offset, length }: ByteRange): Generator<MappedExtent> {
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
