import { setTimeout } from "node:timers/promises";
import { workerData } from "node:worker_threads";
import { NumberSet } from "../../foundation/number-set.js";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { VolumeChunks } from "../../repository/format/block-map.js";
import { ChunkIndex } from "../../repository/index/chunk-index.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/packs/pack-writer.js";
import { openStorage, preloadStorage } from "../../repository/storage/open-storage.js";
import { Counters, ExtentQueue, StopFlag } from "../threads/shared-memory.js";
import { type ThreadContext, type ThreadData, threadMain } from "../threads/thread-pool.js";
import {
  type BackupMessage,
  type BackupTask,
  type BackupThreadResult,
  ChunkPipeline,
  ChunkStore,
  type OpenVolume,
  type VolumeTask,
} from "./chunk-pipeline.js";
import { NO_CLOCK, StageTimes } from "./recorder.js";

preloadStorage((workerData as ThreadData).storage);

/** Time that a stopped run has to finish its packs. The next run need not store these again. */
const KEEP_MS = 1000;
const POLL_MS = 50;
/** How often other threads see the stage times, if they are recorded. */
const NOTE_MS = 20;

/** Reads extents until none is left, and stores their chunks in packs. */
export default function backupThread(task: BackupTask & ThreadContext) {
  const stop = StopFlag.attach(task.stop);
  return threadMain<BackupThreadResult>(task, stop, async () => {
    const volumes = task.volumes.map(attachVolume);
    await readExtents(task, volumes, stop);
    return { badRanges: volumes.map((volume) => volume.badRanges) };
  });
}

async function readExtents(
  task: BackupTask & ThreadContext,
  volumes: OpenVolume[],
  stop: StopFlag,
): Promise<void> {
  const storage = await openStorage(task.storage);
  const counters = Counters.attach(task.counters).row(task.thread);
  const clock = task.stages === undefined ? NO_CLOCK : StageTimes.attach(task.stages).clock(task.thread);
  const writer = new PackWriter({
    storage,
    compression: task.compression,
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(storage))),
    onPack: (pack) => task.port.postMessage(pack satisfies BackupMessage),
    onRoom: () => pipeline.resume(),
    onFailure: (error) => pipeline.fail(error),
  });
  const pipeline = new ChunkPipeline({
    volumes,
    extents: ExtentQueue.attach(task.extents, task.thread),
    store: new ChunkStore(ChunkIndex.attach(task.index), writer, counters, storage.cipher, clock),
    counters,
    clock,
    stop,
    queueDepth: task.queueDepth,
    badBlocks: task.badBlocks,
  });
  // Without polling, chunks that wait for a stalled upload would notice the stop only when the upload fails.
  const stopWatch = setInterval(() => stop.isSet && pipeline.resume(), POLL_MS);
  const noting = task.stages === undefined ? undefined : setInterval(() => clock.note(), NOTE_MS).unref();
  try {
    await pipeline.run();
  } finally {
    clearInterval(stopWatch);
    await Promise.race([writer.finish(), stoppedFor(KEEP_MS, stop)]);
    await writer.abort();
    clearInterval(noting);
    clock.note();
  }
  pipeline.throwIfFailed();
}

/** Resolves `patienceMs` milliseconds after the run was stopped. */
async function stoppedFor(patienceMs: number, stop: StopFlag): Promise<void> {
  for (let stoppedMs = 0; stoppedMs < patienceMs; stoppedMs += stop.isSet ? POLL_MS : 0) {
    await setTimeout(POLL_MS, undefined, { ref: false });
  }
}

function attachVolume(volume: VolumeTask): OpenVolume {
  return {
    path: volume.path,
    fd: volume.fd,
    sizeBytes: volume.sizeBytes,
    chunks: VolumeChunks.attach(volume.chunks),
    data: volume.data && NumberSet.attach(volume.data),
    badRanges: [],
  };
}
