import {
  type BackupFigures,
  type BackupStep,
  MAP_KINDS,
  MAX_CELLS,
  type StepTime,
  type VolumeReport,
} from "../../report/backup-figures.js";
import { backupPage } from "../../report/backup-page.js";
import type { ReportFile } from "../../report/page.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";
import { type BackupOptions, backup, type StoredPoint } from "../backup/backup.js";
import { type BackupRecorder, NO_RECORDER, StageTimes, type StoredBackup } from "../backup/recorder.js";
import { type RunMeter, type RunRecord, volumeFigures } from "../metrics/run-record.js";
import type { CounterTotals } from "../threads/shared-memory.js";
import type { Parallelism } from "../tune/parallelism.js";
import { OutcomeRecorder, type VolumeOutcomes } from "./chunk-outcomes.js";
import { Timeline } from "./timeline.js";

/**
 * Backs up, and writes the metrics and the report.
 * @throws the errors of `backup`
 */
export async function reportedBackup(
  repository: Repository,
  { report, meter }: { report: BackupReport; meter: RunMeter },
  options: Omit<BackupOptions, "recorder">,
): Promise<StoredPoint & { seconds: number }> {
  const started = performance.now();
  const stored = await backup(repository, { ...options, recorder: report.recorder }).finally(report.end);
  const { point } = stored;
  const seconds = (performance.now() - started) / 1000;
  meter.volumes = point.volumes.map(volumeFigures);
  const { threads, queueDepth } = options;
  const run = { point, repository: repository.storage.name, seconds, parallelism: { threads, queueDepth } };
  Object.assign(meter.figures, await report.write(run));
  return { ...stored, seconds };
}

/** The reports about a backup in addition to its result. */
export interface BackupReport {
  recorder: BackupRecorder;
  /**
   * Writes the report once the backup is stored. Never throws: a failed report does not fail the backup.
   * @returns additional figures for metrics; none if they are not recorded or not known
   */
  write(run: BackupRun): Promise<RunRecord["figures"]>;
  /** Called when the backup has ended, successfully or not. */
  end(): void;
}

export const NO_REPORT: BackupReport = {
  recorder: NO_RECORDER,
  write: () => Promise.resolve({}),
  end: () => undefined,
};

/** Returns a report that records the outcomes of the chunks, for metrics. */
export function outcomeReport(notice: (message: string) => void): BackupReport {
  const recorder = new OutcomeRecorder(notice);
  return {
    ...{ recorder, end: () => undefined },
    write: ({ point }) => Promise.resolve(recorder.duplicates(point)),
  };
}

/** A destination of the figures, such as the page in a file. */
export type FiguresTarget = (figures: BackupFigures) => Promise<void>;

export function pageIn(file: ReportFile): FiguresTarget {
  return (figures) => file.write(backupPage(figures));
}

/** Returns a report that sends all figures of a page to each target. */
export function figuresReport(targets: FiguresTarget[], notice: (message: string) => void): BackupReport {
  const recorder = new BackupRecording(notice);
  return {
    recorder,
    write: async (run) => {
      // Awaited for each target, so that an error in making the figures also becomes a notice.
      const figures = (async () => backupFigures(run, recorder))();
      for (const target of targets) {
        try {
          await target(await figures);
        } catch (error) {
          notice(`the report could not be written: ${error instanceof Error ? error.message : error}`);
        }
      }
      return recorder.outcomes.duplicates(run.point);
    },
    end: () => recorder.end(),
  };
}

/** A stored backup. */
interface BackupRun {
  point: RecoveryPoint;
  /** A path or URL. */
  repository: string;
  seconds: number;
  parallelism: Parallelism;
}

function backupFigures(run: BackupRun, { outcomes, steps, timeline }: BackupRecording): BackupFigures {
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

const BAD = MAP_KINDS.indexOf("bad");

/** Divides a volume into equal cells, and counts chunks by kind per cell. */
export function mapCells({ chunks, bad }: VolumeOutcomes): Pick<VolumeReport, "chunksPerCell" | "cells"> {
  const chunksPerCell = 2 ** Math.max(0, Math.ceil(Math.log2(chunks.length / MAX_CELLS)));
  const cells = Array.from({ length: Math.ceil(chunks.length / chunksPerCell) }, () =>
    MAP_KINDS.map(() => 0),
  );
  for (let chunk = 0; chunk < chunks.length; chunk++) {
    const cell = cells[Math.floor(chunk / chunksPerCell)] as number[];
    const kind = bad.has(chunk) ? BAD : (chunks[chunk] as number);
    cell[kind] = (cell[kind] as number) + 1;
  }
  return { chunksPerCell, cells };
}

/** Records the facts of a report that are not in the recovery point. */
class BackupRecording implements BackupRecorder {
  readonly outcomes: OutcomeRecorder;
  /** The finished steps. */
  readonly steps: StepTime[] = [];
  timeline: Timeline | undefined;
  private current: Omit<StepTime, "end"> | undefined;
  private startedMs: number | undefined;

  constructor(notice: (message: string) => void) {
    this.outcomes = new OutcomeRecorder(notice);
  }

  begin(step: BackupStep): void {
    this.end();
    this.current = { step, start: this.seconds };
  }

  reading(threads: number, totals: () => CounterTotals): StageTimes {
    const stages = StageTimes.create(threads);
    this.timeline = new Timeline(stages, totals);
    return stages;
  }

  async stored(backup: StoredBackup): Promise<void> {
    this.begin("compare");
    await this.outcomes.stored(backup);
    this.end();
  }

  /** Ends the current step and the sampling of the threads, also after a failed run. */
  end(): void {
    this.timeline?.end();
    if (this.current !== undefined) this.steps.push({ ...this.current, end: this.seconds });
    this.current = undefined;
  }

  /** Seconds since the first step started. */
  private get seconds(): number {
    this.startedMs ??= performance.now();
    return (performance.now() - this.startedMs) / 1000;
  }
}
