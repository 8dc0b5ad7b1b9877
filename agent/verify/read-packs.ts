import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { PackEntries } from "../../repository/pack-entries.js";
import type { Repository } from "../../repository/repository.js";
import { Counters } from "../counters.js";
import type { RunWatcher } from "../run-watcher.js";
import { ThreadPool } from "../thread-pool.js";
import type { PackToRead, VerifyTask, VerifyThreadResult } from "./messages.js";

export interface ReadPacksOptions {
  selection: PackToRead[];
  /** One byte per index entry; set to 1 when the chunk is proven and found at its place in the index. */
  proven: SharedArrayBuffer;
  threads: number;
  watcher: RunWatcher;
  signal: AbortSignal;
}

/**
 * Reads whole packs in parallel and proves every byte of them.
 * @returns the problems found
 */
export async function readPacks(
  repository: Repository,
  loaded: LoadedIndex,
  { selection, proven, watcher, signal, ...options }: ReadPacksOptions,
): Promise<BlockferryError[]> {
  if (selection.length === 0) return [];
  const threads = Math.min(options.threads, selection.length);
  const counters = Counters.create(threads);
  const task: VerifyTask = {
    storage: repository.location,
    index: loaded.index.memory,
    packEntries: PackEntries.of(loaded.index, loaded.packs.count).memory,
    selection,
    taken: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    proven,
    counters: counters.memory,
  };
  const module = new URL("./verify-thread.js", import.meta.url);
  const pool = new ThreadPool<VerifyTask, VerifyThreadResult>(module, threads, repository.location.kind);
  try {
    const totalBytes = selection.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const watched = { label: "Verifying", totalBytes, totals: () => counters.totals() };
    const results = await pool.run({ task, signal, progress: { watcher, watched } });
    return results.flat().map((record) => new BlockferryError(record));
  } finally {
    await pool.close();
  }
}
