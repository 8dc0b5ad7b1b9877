import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { CHUNK_ID_BYTES } from "../../repository/format/chunk.js";
import { ChunkIndex } from "../../repository/index/chunk-index.js";
import type { ChunkIndexMemory } from "../../repository/index/chunk-index-memory.js";

/** The input of a thread that claims chunks. */
export interface ClaimTask {
  index: ChunkIndexMemory;
  ids: SharedArrayBuffer;
  /** Ids to claim, in order. */
  order: number[];
  /** Receives the results of `claim`: one Int32 for each element of `order`. */
  results: SharedArrayBuffer;
  /** One Int32: 1 when all threads may start. A thread posts a message when it is ready. */
  gate: SharedArrayBuffer;
}

const task = workerData as ClaimTask;
const index = ChunkIndex.attach(task.index);
const ids = Buffer.from(task.ids);
const results = new Int32Array(task.results);
const gate = new Int32Array(task.gate);

parentPort?.postMessage("ready");
assert.notEqual(Atomics.wait(gate, 0, 0, 60_000), "timed-out");
task.order.forEach((chunk, number) => {
  results[number] = index.claim(ids.subarray(chunk * CHUNK_ID_BYTES, (chunk + 1) * CHUNK_ID_BYTES));
});
