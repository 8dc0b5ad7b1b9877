import { workerData } from "node:worker_threads";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { VolumeChunks } from "../../repository/format/block-map.js";
import { CHUNK_BYTES, chunkLength } from "../../repository/format/chunk.js";
import { PackTable, packKey } from "../../repository/format/pack.js";
import { ChunkIndex } from "../../repository/index/chunk-index.js";
import { ChunkPlaces } from "../../repository/index/chunk-places.js";
import { openStorage, preloadStorage } from "../../repository/storage/open-storage.js";
import { againIfDamaged, provesLoss } from "../../repository/storage/read-object.js";
import { READ_SLACK_BYTES, type Storage } from "../../repository/storage/storage.js";
import {
  BufferPool,
  type CounterRow,
  Counters,
  type Extent,
  ExtentQueue,
  StopFlag,
} from "../threads/shared-memory.js";
import { type ThreadContext, type ThreadData, threadMain } from "../threads/thread-pool.js";
import {
  decodeGroup,
  groupWrites,
  MAX_GROUP_CHUNKS,
  oneByOne,
  type WriteGroup,
  wrongChunkLength,
} from "./decode-group.js";
import type { LostChunk, RestoreTask } from "./load-volume.js";
import { type PackRun, planRuns, RUN_BYTES, type WantedChunk } from "./pack-runs.js";
import { TargetWriter } from "./target-writer.js";

preloadStorage((workerData as ThreadData).storage);

/** Runs of packs that a thread reads or decodes at once. */
const RUNS_IN_FLIGHT = 4;
/** Groups of chunks that a thread writes at once. */
const WRITES_IN_FLIGHT = 5;
const GROUP_BYTES = MAX_GROUP_CHUNKS * CHUNK_BYTES;

/** Takes extents of the volumes, and copies their proven chunks from the packs. */
export default function restoreThread(task: RestoreTask & ThreadContext) {
  const stop = StopFlag.attach(task.stop);
  return threadMain<LostChunk[]>(task, stop, async (stopped) => {
    const storage = (await openStorage(task.storage)).until(stopped);
    const restorer = new ExtentRestorer(task, storage, stop);
    try {
      return await restorer.run();
    } finally {
      restorer.close();
    }
  });
}

interface OpenTarget {
  /** Number of its volume in the task. */
  number: number;
  writer: TargetWriter;
  chunks: VolumeChunks;
  sizeBytes: number;
}

/** Work for one volume: chunks to copy, or a run of zeros to write. */
type TargetRun =
  | { target: OpenTarget; run: PackRun }
  | { target: OpenTarget; zeros: { offset: number; length: number } };

/** A run of a pack while its chunks are copied. */
interface RunSource {
  packId: string;
  run: PackRun;
  read(): Promise<Buffer>;
  /** The bytes of the last read; the buffer may be overwritten by another read. */
  bytes: Buffer;
}

class ExtentRestorer {
  private readonly targets: OpenTarget[] = [];
  private readonly index: ChunkIndex;
  private readonly stored: ChunkPlaces;
  private readonly extents: ExtentQueue;
  private readonly counters: CounterRow;
  private readonly slots: BufferPool;
  private readonly jobs: TargetRun[] = [];
  private readonly writes = new Set<Promise<void>>();
  private readonly lost: LostChunk[] = [];
  private failure: unknown;

  constructor(
    private readonly task: RestoreTask & ThreadContext,
    private readonly storage: Storage,
    private readonly stop: StopFlag,
  ) {
    this.index = ChunkIndex.attach(task.index);
    this.stored = ChunkPlaces.of(storage, this.index, PackTable.attach(task.packs));
    this.extents = ExtentQueue.attach(task.extents, task.thread);
    this.counters = Counters.attach(task.counters).row(task.thread);
    this.slots = new BufferPool(Array.from({ length: WRITES_IN_FLIGHT }, () => allocateAligned(GROUP_BYTES)));
    for (const [number, { target, chunks, sizeBytes }] of task.volumes.entries()) {
      const writer = new TargetWriter(target);
      this.targets.push({ number, writer, chunks: VolumeChunks.attach(chunks), sizeBytes });
    }
  }

  /**
   * Restores extents until none is left.
   * @returns the chunks that could not be read, if the task accepts missing data
   * @throws ChunkCorrupt, ObjectNotFound, TargetWriteFailed
   */
  async run(): Promise<LostChunk[]> {
    await Promise.all(Array.from({ length: RUNS_IN_FLIGHT }, () => this.work()));
    await Promise.all(this.writes);
    if (this.failure !== undefined) throw this.failure;
    return this.lost;
  }

  close(): void {
    for (const { writer } of this.targets) writer.close();
  }

  /** One of several loops: while one waits for a pack, another decodes. */
  private async work(): Promise<void> {
    const buffer = allocateAligned(RUN_BYTES + READ_SLACK_BYTES);
    try {
      for (let job = this.nextJob(); job !== undefined; job = this.nextJob()) {
        if ("run" in job) await this.copyRun(job.target, job.run, buffer);
        else await this.writeZeros(job.target, job.zeros);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    this.stop.set();
  }

  private nextJob(): TargetRun | undefined {
    while (!this.stop.isSet) {
      const job = this.jobs.pop();
      if (job !== undefined) return job;
      const extent = this.extents.next();
      if (extent === undefined) return undefined;
      this.planExtent(extent);
    }
    return undefined;
  }

  /** Turns an extent into jobs, the last one first. */
  private planExtent(extent: Extent): void {
    const target = this.targets[extent.volume] as OpenTarget;
    const wanted = new Map<number, number[]>();
    for (let position = extent.start; position < extent.end; position++) {
      const known = target.chunks.get(position);
      const entry = known < 0 ? known : this.index.provenPlace(known);
      const positions = wanted.get(entry);
      if (positions === undefined) wanted.set(entry, [position]);
      else positions.push(position);
    }
    const zeros = wanted.get(-1) ?? [];
    wanted.delete(-1);
    this.planZeros(target, zeros);
    for (const run of planRuns(this.index, wanted).reverse()) this.jobs.push({ target, run });
  }

  private planZeros(target: OpenTarget, positions: number[]): void {
    for (const position of positions) {
      const length = chunkLength(target.sizeBytes, position);
      const offset = position * CHUNK_BYTES;
      if (!target.writer.needsZeros) this.count(length, "zeroBytes");
      else this.jobs.push({ target, zeros: { offset, length } });
    }
  }

  private async writeZeros({ writer }: OpenTarget, zeros: { offset: number; length: number }): Promise<void> {
    await writer.writeZeros(zeros.offset, zeros.length);
    this.count(zeros.length, "zeroBytes");
  }

  private async copyRun(target: OpenTarget, run: PackRun, buffer: Buffer): Promise<void> {
    const packId = this.stored.packs.id(run.packNumber);
    const range = { offset: run.offset, length: run.length };
    const read = () => this.storage.get(packKey(packId), { range, into: buffer });
    const groups = groupWrites(run.chunks);
    let bytes: Buffer;
    try {
      bytes = await read();
    } catch (error) {
      if (!provesLoss(error)) throw error;
      for (const single of groups.flatMap(oneByOne)) await this.copyFromElsewhere(target, single, error);
      return;
    }
    const source: RunSource = { packId, run, read, bytes };
    for (const group of groups) await this.copyGroup(target, group, source);
  }

  /** Copies a group; if one of its chunks is damaged, still copies the others. */
  private async copyGroup(target: OpenTarget, group: WriteGroup, source: RunSource): Promise<void> {
    if (this.stop.isSet) return;
    const { packId, run } = source;
    const slot = await this.slots.take();
    try {
      const data = await againIfDamaged(async (again) => {
        if (again) source.bytes = await source.read();
        return decodeGroup(group, {
          ...{ packId, run, bytes: source.bytes, slot },
          ...{ sizeBytes: target.sizeBytes, cipher: this.storage.cipher },
        });
      });
      this.track(this.writeGroup(target, group.starts, data), slot);
    } catch (error) {
      this.slots.give(slot);
      if (!provesLoss(error)) throw error;
      if (group.chunks.length === 1) return this.copyFromElsewhere(target, group, error);
      for (const single of oneByOne(group)) await this.copyGroup(target, single, source);
    }
  }

  /**
   * Handles the rare case of a damaged chunk: tries other packs, and counts the chunk as lost if none has it.
   */
  private async copyFromElsewhere(target: OpenTarget, single: WriteGroup, failure: unknown): Promise<void> {
    if (this.stop.isSet) return;
    const [{ record }] = single.chunks as [WantedChunk];
    const entry = this.index.find(record.id);
    try {
      if (this.index.nextPlace(entry) < 0) throw failure;
      const data = await this.stored.read(entry);
      for (const start of single.starts) {
        if (data.length !== chunkLength(target.sizeBytes, start))
          throw wrongChunkLength(record.id, data.length, start);
      }
      const slot = await this.slots.take();
      data.copy(slot);
      this.track(this.writeGroup(target, single.starts, slot.subarray(0, data.length)), slot);
    } catch (error) {
      if (this.task.missing !== "zeros" || !provesLoss(error)) throw error;
      await this.lose(target, single.starts);
    }
  }

  private async lose(target: OpenTarget, positions: number[]): Promise<void> {
    for (const position of positions) {
      this.lost.push({ volume: target.number, position });
      const zeros = { offset: position * CHUNK_BYTES, length: chunkLength(target.sizeBytes, position) };
      if (target.writer.needsZeros) await this.writeZeros(target, zeros);
      else this.count(zeros.length, "zeroBytes");
    }
  }

  private async writeGroup(target: OpenTarget, starts: number[], data: Buffer): Promise<void> {
    for (const start of starts) {
      await target.writer.writeData(data, start * CHUNK_BYTES);
      this.count(data.length, "newBytes");
    }
  }

  private track(work: Promise<void>, slot: Buffer): void {
    const settled = work
      .catch((error: unknown) => this.fail(error))
      .then(() => {
        this.writes.delete(settled);
        this.slots.give(slot);
      });
    this.writes.add(settled);
  }

  private count(bytes: number, counter: "newBytes" | "zeroBytes"): void {
    this.counters.add(counter, bytes);
    this.counters.add("doneBytes", bytes);
  }
}
