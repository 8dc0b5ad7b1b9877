import { SingleBar } from "cli-progress";
import { formatBytes, formatPercent, formatSeconds } from "../../command-line/format.js";
import { printNote } from "../../command-line/output.js";
import type { RunWatcher, WatchedRun } from "../threads/shared-memory.js";

const BAR_INTERVAL_MS = 200;
const LINE_INTERVAL_MS = 10_000;
const BAR_WIDTH = 24;

/** Shows progress on standard error: a bar on a terminal, periodic lines elsewhere, nothing with `--json`. */
export function progressWatcher(json: boolean): RunWatcher {
  let show: ProgressDisplay | undefined;
  return {
    start: (run) => {
      if (!json) show = process.stderr.isTTY ? showBar(run) : showLines(run);
    },
    stop: () => show?.end(),
    notice: printNote,
  };
}

interface ProgressDisplay {
  end(): void;
}

function showBar(run: WatchedRun): ProgressDisplay {
  const started = performance.now();
  const bar = new SingleBar({
    stream: process.stderr,
    hideCursor: true,
    format: (_options, { progress }) => {
      const filled = Math.round(progress * BAR_WIDTH);
      const drawn = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
      return `${run.label} ${drawn} ${describe(run, started)}`;
    },
  });
  bar.start(Math.max(1, run.totalBytes), 0);
  const update = () => bar.update(run.totalBytes === 0 ? 1 : run.totals().doneBytes);
  const timer = setInterval(update, BAR_INTERVAL_MS);
  return {
    end: () => {
      clearInterval(timer);
      update();
      bar.stop();
    },
  };
}

function showLines(run: WatchedRun): ProgressDisplay {
  const started = performance.now();
  const print = () => process.stderr.write(`${run.label}: ${describe(run, started)}\n`);
  const timer = setInterval(print, LINE_INTERVAL_MS);
  return {
    end: () => {
      clearInterval(timer);
      print();
    },
  };
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
