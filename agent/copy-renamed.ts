import { loadBlockMap, mapNodeCount } from "../repository/block-map.js";
import { chunkCount } from "../repository/chunk-id.js";
import type { ChunkIndex } from "../repository/chunk-index.js";
import { chunkMissing } from "../repository/chunk-owners.js";
import type { IndexedPack } from "../repository/index-segment.js";
import type { LoadedIndex } from "../repository/load-index.js";
import { readChunk } from "../repository/read-chunk.js";
import type { RecoveryPoint } from "../repository/recovery-point.js";
import type { Storage } from "../repository/storage/storage.js";
import { VolumeChunks } from "../repository/volume-chunks.js";
import { ChunkStore } from "./backup/chunk-store.js";
import { IndexCheckpoints } from "./backup/index-checkpoints.js";
import { storeBlockMaps } from "./backup/store-block-maps.js";
import { Counters } from "./counters.js";
import { readInOrder } from "./read-in-order.js";
import { withPackWriter } from "./with-pack-writer.js";

const COMPRESSION = "lz4";
const UNKNOWN = -1;

interface Side {
  storage: Storage;
  loaded: LoadedIndex;
}

/** What copying a point took. */
export interface CopiedPoint {
  /** With the block maps' roots that hold in the other repository. */
  point: RecoveryPoint;
  /** Chunks and block-map nodes that the other repository did not have. */
  chunks: number;
  storedBytes: number;
}

/**
 * Copies points into a repository that names chunks otherwise, because one of the two is encrypted, or both are with keys of their own. A
 * chunk is read once, proven, named anew and stored where it is missing; block maps are made anew of the new names.
 */
export class RenamingCopy {
  /** The entry in the target's index of each entry in the source's. */
  private readonly renamed: Int32Array;
  private index: ChunkIndex;
  private readonly checkpoints: IndexCheckpoints;

  constructor(
    private readonly from: Side,
    private readonly to: Side,
    private readonly signal: AbortSignal,
  ) {
    this.renamed = new Int32Array(from.loaded.index.size).fill(UNKNOWN);
    this.index = to.loaded.index;
    this.checkpoints = new IndexCheckpoints(to.storage);
    for (const pack of to.loaded.unindexedPacks) this.checkpoints.add(pack);
  }

  /**
   * Learns names from a point that both repositories have: what stands at the same place is the same chunk, and need not be
   * read again.
   */
  async learn(here: RecoveryPoint, there: RecoveryPoint): Promise<void> {
    for (const [number, { root, sizeBytes }] of here.volumes.entries()) {
      const other = there.volumes[number];
      if (other?.sizeBytes !== sizeBytes) continue;
      const known = await loadMap(this.to, other.root, sizeBytes, () => undefined);
      const chunks = await loadMap(this.from, root, sizeBytes, () => undefined);
      for (let position = 0; position < chunks.count; position++) {
        const entry = chunks.get(position);
        if (entry >= 0 && known.get(position) >= 0) this.renamed[entry] = known.get(position);
      }
    }
  }

  /** @returns the point as it is to be committed: all that it names is durable @throws ChunkMissing, ChunkCorrupt, Interrupted */
  async copy(point: RecoveryPoint): Promise<CopiedPoint> {
    const maps: VolumeChunks[] = [];
    for (const { root, sizeBytes } of point.volumes) {
      maps.push(
        await loadMap(this.from, root, sizeBytes, (error) => {
          throw error;
        }),
      );
    }
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
      for await (const { entry, payload } of readInOrder(wanted, { ...this.source, signal: this.signal })) {
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

  private get source() {
    return { from: this.from.storage, loaded: this.from.loaded };
  }

  /** Entries whose new name is not known yet. */
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

/** @param onMissing is told what the map names and the repository does not have, or cannot read */
function loadMap(
  { storage, loaded: { index, packs } }: Side,
  root: string,
  sizeBytes: number,
  onMissing: (error: unknown) => void,
): Promise<VolumeChunks> {
  return loadBlockMap(Buffer.from(root, "hex"), chunkCount(sizeBytes), {
    index,
    readChunk: (entry) => readChunk(storage, index, packs, entry),
    onMissingChunk: (_position, id) => onMissing(chunkMissing(id)),
    onMissingNode: (_position, _length, error) => onMissing(error),
  });
}
