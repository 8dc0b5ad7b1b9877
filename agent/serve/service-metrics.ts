import type { BlockferryError, ErrorCode } from "../../foundation/blockferry-error.js";
import { type MetricsFiles, tryMetrics, writeMetrics } from "../metrics/metrics-files.js";
import type { RunRecord } from "../metrics/run-record.js";
import type { ServiceLog } from "./service-log.js";

/** Metrics of a service: the last run per command and instance, and the outcomes of its jobs. */
export class ServiceMetrics {
  private readonly last = new Map<string, RunRecord>();
  private readonly jobs = { succeeded: 0, failed: new Map<ErrorCode, number>() };

  private constructor(
    private readonly files: MetricsFiles,
    private readonly log: ServiceLog,
  ) {}

  /** Warns if the metrics cannot be written, before there are any. */
  static async prepare(files: MetricsFiles, log: ServiceLog): Promise<ServiceMetrics> {
    const metrics = new ServiceMetrics(files, log);
    metrics.warn(await tryMetrics(files));
    return metrics;
  }

  /** Reports a finished job. Never throws: a failed report does not change the job's outcome. */
  async tell(record: RunRecord): Promise<void> {
    const { command, instance, errorCode } = record;
    // A later success of that command would never replace it.
    if (command !== "serve") this.last.set(`${command} ${instance}`, record);
    if (errorCode === undefined) this.jobs.succeeded++;
    else this.jobs.failed.set(errorCode, (this.jobs.failed.get(errorCode) ?? 0) + 1);
    this.warn(await writeMetrics(this.files, record, [...this.last.values()], this.jobs));
  }

  private warn(failures: BlockferryError[]): void {
    for (const { message, remedy, code } of failures) this.log.warn(`${message} ${remedy}`, { code });
  }
}
