import type { SpeedAt } from "../../agent/tune/advise.js";
import type { Tuning } from "../../agent/tune/tune.js";
import type { BackupFigures } from "../../report/backup-figures.js";
import type { describeMachine } from "../measure.js";
import { median } from "../report.js";

/** Seconds that a command took, in each round. */
export interface Timed {
  wallSeconds: number[];
  cpuSeconds: number[];
}

export interface SweptBackup extends Timed {
  threads: number;
  /** Reads in flight for each thread. */
  queueDepth: number;
}

export interface SweptRestore extends Timed {
  threads: number;
}

interface ToolTimes {
  name: string;
  backup: Timed;
  /** A second backup without changes. */
  again: Timed;
  restore: Timed;
}

/** All figures of a run, which its page contains as JSON. */
export interface DeviceFigures {
  version: 1;
  kind: "bench";
  startedAt: string;
  machine: ReturnType<typeof describeMachine> & { cores: number };
  device: string;
  sizeBytes: number;
  repository: string;
  rounds: number;
  fio: SpeedAt[];
  tuning: Tuning;
  backups: SweptBackup[];
  /** The figures of the fastest of these backups, from its own report. */
  best: BackupFigures;
  restores: SweptRestore[];
  /** blockferry with the best options, then the other tools. */
  tools: ToolTimes[];
}

/** Returns the fastest entry, by its median. */
export function fastest<T extends Timed>(all: T[]): T {
  const [first] = all.toSorted((a, b) => median(a.wallSeconds) - median(b.wallSeconds));
  if (first === undefined) throw new RangeError("nothing was measured");
  return first;
}
