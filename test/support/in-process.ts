import { restore } from "../../agent/restore/restore.js";
import type { RunWatcher } from "../../agent/run-watcher.js";
import { type VerifyReport, verify } from "../../agent/verify/verify.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";

/** A watcher that tells nobody. */
export const QUIET: RunWatcher = { start: () => undefined, stop: () => undefined, notice: () => undefined };

const QUIETLY = {
  threads: 1,
  watcher: QUIET,
  signal: new AbortController().signal,
};

/** What `verify` and `restore` do, without a process for each: for checks that tests make again and again. */
export function verifyInProcess(repository: Repository, readPercent: number): Promise<VerifyReport> {
  return verify(repository, { point: undefined, readPercent, ...QUIETLY });
}

/** Restores points of one volume each to new files, at once: starting threads for each costs more than their work. */
export async function restoreInProcess(
  repository: Repository,
  restores: { point: RecoveryPoint; path: string }[],
): Promise<void> {
  const targets = restores.flatMap(({ point, path }) => point.volumes.map((volume) => ({ volume, path })));
  await restore(repository, { targets, existing: "refuse", missing: "refuse", ...QUIETLY });
}
