import { read } from "node:fs";
import type { NumberSet } from "../../foundation/number-set.js";
import { allocateAligned, isBadBlock } from "../../native-free-io/block-source.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import type { VolumeChunks } from "../../repository/format/block-map.js";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import type { Cipher, Compression } from "../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../repository/format/index-segment.js";
import type { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { ChunkIndexMemory } from "../../repository/index/chunk-index-memory.js";
import type { PackWriter } from "../../repository/packs/pack-writer.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import type {
  CounterRow,
  Extent,
  ExtentQueue,
  ExtentQueueMemory,
  StopFlag,
} from "../threads/shared-memory.js";
import { NO_CLOCK, type StageClock } from "./recorder.js";
import { salvageChunk, sourceUnreadable } from "./salvage-chunk.js";

/** A volume as one thread reads it. */
export interface OpenVolume {
  path: string;
  fd: number;
  sizeBytes: number;
  /** Filled in as chunks are read. */
  chunks: VolumeChunks;
  /** Chunks outside it are holes; undefined if every chunk must be read. */
  data: NumberSet | undefined;
  /** Bad blocks that this thread skipped. */
  badRanges: ByteRange[];
}

interface PipelineOptions {
  volumes: OpenVolume[];
  extents: ExtentQueue;
  store: ChunkStore;
  counters: CounterRow;
  clock: StageClock;
  stop: StopFlag;
  /** Reads kept in flight. */
  queueDepth: number;
  badBlocks: "fail" | "skip";
}

/** A chunk that is being read or waits for room in the pack writer. */
interface Slot {
  buffer: Buffer;
  volume: OpenVolume;
  /** Number of the chunk in the volume. */
  chunk: number;
  /** Length of the chunk in bytes. */
  length: number;
  onRead(error: Error | null, bytesRead: number): void;
}

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/**
 * The hot loop of a backup thread.
 * It keeps `queueDepth` reads in flight, and takes each chunk as it arrives through zero check, hash, index
 * and pack. Reads complete on libuv's pool while this thread hashes and compresses; one chunk costs one
 * callback and no promise. When the pack writer has no room, chunks wait in their slots, and reading stops by
 * itself.
 */
export class ChunkPipeline {
  private readonly freeSlots: Slot[];
  private readonly waiting: Slot[] = [];
  private busySlots = 0;
  private extent: Extent | undefined;
  private nextChunk = 0;
  private failure: unknown;
  private settle: () => void = () => undefined;

  constructor(private readonly options: PipelineOptions) {
    const memory = allocateAligned(options.queueDepth * CHUNK_BYTES);
    this.freeSlots = Array.from({ length: options.queueDepth }, (_, number) =>
      this.makeSlot(memory.subarray(number * CHUNK_BYTES, (number + 1) * CHUNK_BYTES)),
    );
  }

  /**
   * Reads until no extent is left or the run is stopped.
   * @throws SourceUnreadable, SourceShrunk, or the error passed to `fail`
   */
  async run(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.settle = resolve;
      this.readAhead();
    });
    this.throwIfFailed();
  }

  /**
   * Throws the failure, if any. A pack can still fail after the last read, so the owner calls this again when
   * all packs are finished.
   */
  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  /** Stops the run with an error once the reads in flight have completed. */
  fail(error: unknown): void {
    this.failure ??= error;
    this.options.stop.set();
  }

  /** Processes waiting chunks while there is room for them, then continues reading. */
  resume(): void {
    while (this.waiting.length > 0 && (this.options.store.hasRoom || this.options.stop.isSet)) {
      this.process(this.waiting.shift() as Slot);
    }
    this.readAhead();
  }

  private readAhead(): void {
    const { clock, stop } = this.options;
    clock.enter("read");
    while (this.freeSlots.length > 0 && !stop.isSet && this.advance()) {
      const slot = this.freeSlots.pop() as Slot;
      const extent = this.extent as Extent;
      slot.volume = this.options.volumes[extent.volume] as OpenVolume;
      slot.chunk = this.nextChunk++;
      slot.length = Math.min(CHUNK_BYTES, slot.volume.sizeBytes - slot.chunk * CHUNK_BYTES);
      this.busySlots++;
      read(slot.volume.fd, slot.buffer, 0, CHUNK_BYTES, slot.chunk * CHUNK_BYTES, slot.onRead);
    }
    // Without reads in flight, the remaining chunks are being uploaded.
    clock.enter(this.waiting.length > 0 || this.busySlots === 0 ? "storage" : "device");
    if (this.busySlots === 0) this.settle();
  }

  /** Moves to the next chunk that must be read; returns false if none is left. */
  private advance(): boolean {
    const { volumes, extents, counters } = this.options;
    for (;;) {
      if (this.extent === undefined || this.nextChunk >= this.extent.end) {
        this.extent = extents.next();
        if (this.extent === undefined) return false;
        this.nextChunk = this.extent.start;
      }
      const { data, sizeBytes } = volumes[this.extent.volume] as OpenVolume;
      if (data === undefined || data.has(this.nextChunk)) return true;
      const holeBytes = Math.min(CHUNK_BYTES, sizeBytes - this.nextChunk * CHUNK_BYTES);
      counters.add("zeroBytes", holeBytes);
      counters.add("doneBytes", holeBytes);
      this.nextChunk++;
    }
  }

  private makeSlot(buffer: Buffer): Slot {
    const slot: Slot = {
      buffer,
      volume: this.options.volumes[0] as OpenVolume,
      chunk: 0,
      length: 0,
      onRead: (error, bytesRead) => {
        if (error === null && bytesRead >= slot.length) this.take(slot);
        else void this.salvage(slot, error);
      },
    };
    return slot;
  }

  private take(slot: Slot): void {
    this.waiting.push(slot);
    this.resume();
  }

  private process(slot: Slot): void {
    if (!this.options.stop.isSet) this.storeChunk(slot);
    this.busySlots--;
    this.freeSlots.push(slot);
  }

  private storeChunk({ buffer, volume, chunk, length }: Slot): void {
    const { clock, counters, store } = this.options;
    clock.enter("zeros");
    const whole = length === CHUNK_BYTES;
    const payload = whole ? buffer : buffer.subarray(0, length);
    if (payload.equals(whole ? ZEROS : ZEROS.subarray(0, length))) counters.add("zeroBytes", length);
    else volume.chunks.set(chunk, store.store(payload));
    counters.add("doneBytes", length);
  }

  /** Handles the rare case of a failed or short read. */
  private async salvage(slot: Slot, error: Error | null): Promise<void> {
    const { volume, length, buffer: into } = slot;
    const offset = slot.chunk * CHUNK_BYTES;
    try {
      if (error !== null && !isBadBlock(error)) throw sourceUnreadable(volume.path, offset, error);
      const { badBlocks } = this.options;
      volume.badRanges.push(...(await salvageChunk({ ...volume, offset, length, into, badBlocks })));
    } catch (failure) {
      this.fail(failure);
    }
    this.take(slot);
  }
}

/** The input of a backup thread. */
export interface BackupTask {
  storage: StorageLocation;
  volumes: VolumeTask[];
  index: ChunkIndexMemory;
  extents: ExtentQueueMemory;
  counters: SharedArrayBuffer;
  /** Where the thread records its current stage; undefined if stages are not recorded. */
  stages: SharedArrayBuffer | undefined;
  queueDepth: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
}

export interface VolumeTask {
  path: string;
  /** Opened by the main thread; descriptors belong to the process. */
  fd: number;
  sizeBytes: number;
  chunks: SharedArrayBuffer;
  data: SharedArrayBuffer | undefined;
}

/** Sent for every pack when it is durable. A structured clone turns a Buffer into a plain Uint8Array. */
export type BackupMessage = Omit<IndexedPack, "footer"> & { footer: Uint8Array };

export interface BackupThreadResult {
  /** Bad blocks that were skipped, per volume. */
  badRanges: ByteRange[][];
}

/** Stores chunks that the repository does not have yet, and counts their bytes. */
export class ChunkStore {
  constructor(
    private readonly index: ChunkIndex,
    private readonly writer: PackWriter,
    private readonly counters: CounterRow,
    private readonly cipher: Cipher,
    private readonly clock: StageClock = NO_CLOCK,
  ) {}

  get hasRoom(): boolean {
    return this.writer.hasRoom;
  }

  /**
   * Stores a chunk, or finds it in the index. Call it only while `hasRoom` is true.
   * @returns the chunk's index entry
   */
  store(payload: Buffer): number {
    this.clock.enter("hash");
    const id = this.cipher.chunkId(payload);
    const entry = this.index.claim(id);
    if (entry >= 0) {
      this.counters.add("duplicateBytes", payload.length);
      return entry;
    }
    this.clock.enter("compress");
    this.counters.add("storedBytes", this.writer.append(id, payload));
    this.counters.add("newBytes", payload.length);
    return ~entry;
  }
}
