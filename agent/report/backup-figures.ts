import type { RecoveryPoint } from "../../repository/recovery-point.js";
import type { StageSeconds } from "../backup/stage-times.js";
import { volumeFigures } from "../metrics/run-record.js";
import type { Parallelism } from "../parallelism.js";
import type { BackupRecording, StepTime } from "./backup-recording.js";
import type { Outcome } from "./chunk-outcomes.js";
import { type MapCells, mapCells } from "./map-cells.js";
import type { Span } from "./timeline.js";

/** All that the report of a backup tells; it is in the page as JSON, as docs/operations.md describes it. */
export interface BackupFigures {
  version: 1;
  kind: "backup";
  point: string;
  /** A path or URL. */
  repository: string;
  /** The EC2 instance, or the host. */
  machine: string;
  createdAt: string;
  tags: Record<string, string>;
  seconds: number;
  threads: number;
  queueDepth: number;
  stats: RecoveryPoint["stats"];
  /** Whether the point before could be read; if not, what is unchanged counts as deduplicated. */
  compared: boolean;
  volumes: VolumeReport[];
  steps: StepTime[];
  /** Of each thread, what it spent its seconds on. */
  stages: StageSeconds[];
  timeline: Span[];
}

export interface VolumeReport extends MapCells {
  name: string;
  source: string;
  sizeBytes: number;
  unreadableBytes: number;
  /** Id of the recovery point that the volume is compared with. */
  parent: string | null;
  bytes: Record<Outcome, number>;
}

/** A backup that is stored. */
export interface BackupRun {
  point: RecoveryPoint;
  /** A path or URL. */
  repository: string;
  seconds: number;
  parallelism: Parallelism;
}

export function backupFigures(run: BackupRun, { outcomes, steps, timeline }: BackupRecording): BackupFigures {
  const { point } = run;
  const { threads, queueDepth } = run.parallelism;
  return {
    ...{ version: 1, kind: "backup", point: point.id, repository: run.repository },
    machine: point.instance?.instanceId ?? point.hostname,
    ...{ createdAt: point.createdAt, tags: point.tags, stats: point.stats },
    ...{ seconds: run.seconds, threads: timeline?.threads.length ?? threads, queueDepth },
    compared: outcomes.isCompared,
    volumes: point.volumes.flatMap((volume, number) => {
      const found = outcomes.volumes?.[number];
      if (found === undefined) return [];
      const { parent = null, bytes } = found;
      return [{ ...volumeFigures(volume), source: volume.source, parent, bytes, ...mapCells(found) }];
    }),
    steps,
    stages: timeline?.threads ?? [],
    timeline: timeline?.spans ?? [],
  };
}
