import { formatBytes, formatPercent, formatSeconds } from "../../command-line/format.js";
import { printNote } from "../../command-line/output.js";
import { type ProgressLine, showProgress } from "../../command-line/progress.js";
import type { RunWatcher, WatchedRun } from "../threads/shared-memory.js";

const LINE_INTERVAL_MS = 10_000;
const BAR_WIDTH = 24;

/** Shows progress on standard error: a bar on a terminal, periodic lines elsewhere, nothing with `--json`. */
export function progressWatcher(json: boolean): RunWatcher {
  let shown: ProgressLine | undefined;
  return {
    start: (run) => {
      if (json) return;
      const started = performance.now();
      const text = {
        live: () => `${run.label} ${barOf(run)} ${describe(run, started)}`,
        plain: () => `${run.label}: ${describe(run, started)}`,
      };
      shown = showProgress(text, LINE_INTERVAL_MS);
    },
    stop: () => {
      shown?.end();
      shown = undefined;
    },
    notice: (message) => {
      if (shown === undefined) printNote(message);
      else shown.interrupt(() => printNote(message));
    },
  };
}

function barOf(run: WatchedRun): string {
  const share = run.totalBytes === 0 ? 1 : Math.min(1, run.totals().doneBytes / run.totalBytes);
  const filled = Math.round(share * BAR_WIDTH);
  return "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
}

/** Returns text like "1.2 GiB of 4.0 GiB 30%, 800 MiB/s, ETA 4s, 12% known, compressed to 55%". */
function describe(run: WatchedRun, started: number): string {
  const { doneBytes, duplicateBytes, newBytes, storedBytes } = run.totals();
  const rate = doneBytes / ((performance.now() - started) / 1000);
  const eta = doneBytes === 0 ? Number.NaN : (run.totalBytes - doneBytes) / rate;
  return [
    `${formatBytes(doneBytes)} of ${formatBytes(run.totalBytes)} ${formatPercent(doneBytes, run.totalBytes)}`,
    `${formatBytes(rate)}/s`,
    `ETA ${formatSeconds(eta)}`,
    ...(duplicateBytes > 0 ? [`${formatPercent(duplicateBytes, doneBytes)} known`] : []),
    ...(storedBytes > 0 ? [`compressed to ${formatPercent(storedBytes, newBytes)}`] : []),
  ].join(", ");
}
