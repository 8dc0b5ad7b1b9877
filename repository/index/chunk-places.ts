import {
  type BlockMapLosses,
  type ChunkReader,
  loadBlockMap,
  type VolumeChunks,
} from "../format/block-map.js";
import { chunkCount } from "../format/chunk.js";
import type { PackTable } from "../format/pack.js";
import type { RecoveryPointVolume } from "../format/recovery-point.js";
import { readRecord } from "../packs/pack-reader.js";
import { provesLoss } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import type { ChunkIndex } from "./chunk-index.js";

/** For a chunk with more bad places than this, the other places are not reported. */
const MAX_FAILURES = 100;

/** The chunks of an index: reads them by entry, from any pack that has them. */
export class ChunkPlaces implements ChunkReader {
  protected constructor(
    readonly storage: Storage,
    protected currentIndex: ChunkIndex,
    readonly packs: PackTable,
  ) {}

  /** Returns the chunks of an index that another thread has loaded. */
  static of(storage: Storage, index: ChunkIndex, packs: PackTable): ChunkPlaces {
    return new ChunkPlaces(storage, index, packs);
  }

  /** The index as it is now: a search for hidden chunks may replace it. Entries keep their numbers. */
  get index(): ChunkIndex {
    return this.currentIndex;
  }

  /** Returns the id of the pack of a place. */
  packOf(place: number): string {
    return this.packs.id(this.currentIndex.packNumber(place));
  }

  /**
   * Reads and proves a chunk, from its first good place.
   * @param entry from `ChunkIndex.find`
   * @param onBadPlace called with the error of each bad place, if there is also a good one
   * @throws ChunkCorrupt, ObjectNotFound: the error of the first place, if no place is good
   */
  async read(entry: number, onBadPlace: (error: unknown) => void = () => undefined): Promise<Buffer> {
    const { index } = this;
    const failures: unknown[] = [];
    for (const place of index.places(entry)) {
      try {
        const chunk = await this.readPlace(place);
        index.noteProven(entry, place);
        for (const failure of failures) onBadPlace(failure);
        return chunk;
      } catch (error) {
        if (!provesLoss(error)) throw error;
        if (failures.length < MAX_FAILURES) failures.push(error);
      }
    }
    throw failures[0];
  }

  /**
   * Reads and proves a chunk at one of its places.
   * @param place an entry of the index
   * @throws ChunkCorrupt, ObjectNotFound
   */
  readPlace(place: number): Promise<Buffer> {
    return readRecord(this.storage, this.packOf(place), this.currentIndex.record(place));
  }

  /** Loads the block map of a volume. @throws the errors that `losses` throws */
  loadMap(
    { root, sizeBytes }: Pick<RecoveryPointVolume, "root" | "sizeBytes">,
    losses: BlockMapLosses,
  ): Promise<VolumeChunks> {
    return loadBlockMap(Buffer.from(root, "hex"), chunkCount(sizeBytes), this, losses);
  }
}
