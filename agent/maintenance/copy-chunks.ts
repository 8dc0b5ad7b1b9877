import type { BlockferryError } from "../../foundation/errors.js";
import { mapNodeCount, VolumeChunks } from "../../repository/format/block-map.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import { chunkMissing } from "../../repository/index/chunk-owners.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import type { Storage } from "../../repository/storage/storage.js";
import { ChunkStore } from "../backup/chunk-pipeline.js";
import { IndexCheckpoints } from "../backup/index-checkpoints.js";
import { storeBlockMaps, withPackWriter } from "../backup/store-block-maps.js";
import { readInOrder } from "../restore/pack-runs.js";
import { Counters } from "../threads/shared-memory.js";

const COMPRESSION = "lz4";
const UNKNOWN = -1;

/** The result of copying a point. */
interface CopiedPoint {
  /** The point with the block-map roots of the other repository. */
  point: RecoveryPoint;
  /** Chunks and block-map nodes that the other repository did not have. */
  chunks: number;
  storedBytes: number;
}

/**
 * Copies points into a repository that uses other chunk ids.
 * The ids differ because one of the two repositories is encrypted, or both are with different keys. A chunk
 * is read once, proven, given its new id, and stored if missing; block maps are rebuilt with the new ids.
 */
export class RenamingCopy {
  /** The target's index entry of each source entry. */
  private renamed: Int32Array;
  private index: ChunkIndex;
  private readonly checkpoints: IndexCheckpoints;

  constructor(
    private readonly from: StoredChunks,
    private readonly to: StoredChunks,
    private readonly options: { signal: AbortSignal; onFalseSegment(problem: BlockferryError): void },
  ) {
    this.renamed = new Int32Array(from.index.size).fill(UNKNOWN);
    this.index = to.index;
    this.checkpoints = new IndexCheckpoints(to.storage);
    for (const pack of to.unindexedPacks) this.checkpoints.add(pack);
  }

  /**
   * Learns ids from a point that both repositories have.
   * Chunks at the same position are the same chunk, and need not be read again.
   */
  async learn(here: RecoveryPoint, there: RecoveryPoint): Promise<void> {
    for (const [number, volume] of here.volumes.entries()) {
      const other = there.volumes[number];
      if (other?.sizeBytes !== volume.sizeBytes) continue;
      const known = await loadMap(this.to, other, () => undefined);
      const chunks = await loadMap(this.from, volume, () => undefined);
      for (let position = 0; position < chunks.count; position++) {
        const entry = chunks.get(position);
        if (entry >= 0 && known.get(position) >= 0) this.renamed[entry] = known.get(position);
      }
    }
  }

  /**
   * Copies the data of a point.
   * @returns the point to commit; everything it names is durable
   * @throws ChunkMissing, ChunkCorrupt, Interrupted
   */
  async copy(point: RecoveryPoint): Promise<CopiedPoint> {
    const maps = await this.from.search({
      attempt: () => this.loadMaps(point),
      onFalseSegment: this.options.onFalseSegment,
    });
    this.makeRoomForNames();
    const wanted = this.unknownIn(maps);
    const nodes = maps.reduce((sum, { count }) => sum + mapNodeCount(count), 0);
    this.index = this.index.withRoomFor(wanted.size + nodes + 1);
    const known = this.index.size;
    const counters = Counters.create(1);
    const row = counters.row(0);
    const { storage } = this.to;
    const onPack = (pack: IndexedPack) => this.checkpoints.add(pack);
    await withPackWriter({ storage, compression: COMPRESSION, onPack }, async (writer, room) => {
      const store = new ChunkStore(this.index, writer, row, storage.cipher);
      const { from, options } = this;
      for await (const { entry, payload } of readInOrder(wanted, { from, signal: options.signal })) {
        await room();
        this.renamed[entry] = store.store(payload);
      }
    });
    const roots = await storeBlockMaps(
      maps.map((chunks) => ({ chunks: this.translate(chunks) })),
      {
        ...{
          storage,
          index: this.index,
          counters: row,
          checkpoints: this.checkpoints,
          compression: COMPRESSION,
        },
      },
    );
    await this.checkpoints.flush();
    const volumes = point.volumes.map((volume, number) => ({
      ...volume,
      root: (roots[number] as Buffer).toString("hex"),
    }));
    const chunks = this.index.size - known;
    return { point: { ...point, volumes }, chunks, storedBytes: counters.totals().storedBytes };
  }

  private async loadMaps({ volumes }: RecoveryPoint): Promise<VolumeChunks[]> {
    const maps: VolumeChunks[] = [];
    for (const volume of volumes) {
      maps.push(
        await loadMap(this.from, volume, (error) => {
          throw error;
        }),
      );
    }
    return maps;
  }

  /** The source's index may have grown. */
  private makeRoomForNames(): void {
    const { size } = this.from.index;
    if (size <= this.renamed.length) return;
    const known = this.renamed;
    this.renamed = new Int32Array(size).fill(UNKNOWN);
    this.renamed.set(known);
  }

  /** Returns the entries whose new id is not known yet. */
  private unknownIn(maps: VolumeChunks[]): Set<number> {
    const unknown = new Set<number>();
    for (const chunks of maps) {
      for (let position = 0; position < chunks.count; position++) {
        const entry = chunks.get(position);
        if (entry >= 0 && this.renamed[entry] === UNKNOWN) unknown.add(entry);
      }
    }
    return unknown;
  }

  private translate(chunks: VolumeChunks): VolumeChunks {
    const translated = VolumeChunks.create(chunks.count);
    for (let position = 0; position < chunks.count; position++) {
      const entry = chunks.get(position);
      if (entry >= 0) translated.set(position, this.renamed[entry] as number);
    }
    return translated;
  }
}

/**
 * @param onMissing called with the error of each chunk or node of the map that is missing or cannot be read
 */
function loadMap(
  stored: StoredChunks,
  volume: RecoveryPointVolume,
  onMissing: (error: unknown) => void,
): Promise<VolumeChunks> {
  return stored.loadMap(volume, {
    onMissingChunk: (_position, id) => onMissing(chunkMissing(id)),
    onMissingNode: (_position, _length, error) => onMissing(error),
  });
}

interface CopyOptions {
  from: StoredChunks;
  to: Storage;
  /**
   * Packs in `to` that no segment lists and that the points will need; they are indexed together with the new
   * ones.
   */
  unindexed: IndexedPack[];
  compression: Compression;
  /** Called for each new pack when it is durable. */
  onPack?(pack: IndexedPack): void;
  signal: AbortSignal;
}

/**
 * Copies and proves chunks into new packs under the same ids.
 * @param entries entries of the index of `from`
 * @returns the bytes of the chunks in the new packs, which are then durable and indexed
 * @throws ChunkCorrupt, ObjectNotFound; StorageFull, StorageDenied, StorageFailed; Interrupted
 */
export async function copyChunks(entries: Iterable<number>, options: CopyOptions): Promise<number> {
  const { from, to, unindexed, compression } = options;
  const checkpoints = new IndexCheckpoints(to);
  for (const pack of unindexed) checkpoints.add(pack);
  const onPack = (pack: IndexedPack) => {
    checkpoints.add(pack);
    options.onPack?.(pack);
  };
  const storedBytes = await withPackWriter({ storage: to, compression, onPack }, async (writer, room) => {
    let bytes = 0;
    for await (const { entry, payload } of readInOrder(entries, options)) {
      await room();
      bytes += writer.append(from.index.id(entry), payload);
    }
    return bytes;
  });
  await checkpoints.flush();
  return storedBytes;
}
