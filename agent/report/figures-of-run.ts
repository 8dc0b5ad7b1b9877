import type { BackupFigures } from "../../report/backup-figures.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import { volumeFigures } from "../metrics/run-record.js";
import type { Parallelism } from "../parallelism.js";
import type { BackupRecording } from "./backup-recording.js";
import { mapCells } from "./map-cells.js";

/** A stored backup. */
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
