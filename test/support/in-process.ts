import { restore } from "../../agent/restore/restore.js";
import type { RunWatcher } from "../../agent/threads/shared-memory.js";
import { type VerifyOptions, type VerifyReport, verify } from "../../agent/verify/verify.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";

/** A watcher that ignores all events. */
export const QUIET: RunWatcher = { start: () => undefined, stop: () => undefined, notice: () => undefined };

const QUIETLY = {
  threads: 1,
  watcher: QUIET,
  signal: new AbortController().signal,
};

/** Verifies a repository without a new process, for tests that check it often. */
export function verifyInProcess(
  repository: Repository,
  readPercent: number,
  options: Pick<VerifyOptions, "tombstoneKey"> = {},
): Promise<VerifyReport> {
  return verify(repository, { findPoint: undefined, readPercent, ...QUIETLY, ...options });
}

/**
 * Restores points of one volume each to new files, in parallel: starting the threads takes longer than the
 * restore.
 */
export async function restoreInProcess(
  repository: Repository,
  restores: { point: RecoveryPoint; path: string }[],
): Promise<void> {
  const targets = restores.flatMap(({ point, path }) => point.volumes.map((volume) => ({ volume, path })));
  await restore(repository, { targets, existing: "refuse", missing: "refuse", ...QUIETLY });
}
