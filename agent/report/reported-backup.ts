import type { Repository } from "../../repository/repository.js";
import { type BackupOptions, backup, type StoredPoint } from "../backup/backup.js";
import type { RunMeter } from "../metrics/run-meter.js";
import { volumeFigures } from "../metrics/run-record.js";
import type { BackupReport } from "./backup-report.js";

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
