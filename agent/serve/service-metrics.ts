import type { BlockferryError, ErrorCode } from "../../foundation/blockferry-error.js";
import { type MetricsFiles, tryMetrics, writeMetrics } from "../metrics/metrics-files.js";
import type { RunRecord } from "../metrics/run-record.js";
import type { ServiceLog } from "./service-log.js";

/** Metrics of a service: the last run of each command and instance, and how its jobs ended. */
export class ServiceMetrics {
  private readonly last = new Map<string, RunRecord>();
  private readonly jobs = { succeeded: 0, failed: new Map<ErrorCode, number>() };

  private constructor(
    private readonly files: MetricsFiles,
    private readonly log: ServiceLog,
  ) {}

  /** Warns where they cannot be written, before there is anything to tell. */
  static async prepare(files: MetricsFiles, log: ServiceLog): Promise<ServiceMetrics> {
    const metrics = new ServiceMetrics(files, log);
    metrics.warn(await tryMetrics(files));
    return metrics;
  }

  /** Tells of a job that has ended. Never fails: it has done so whether anybody can be told or not. */
  async tell(record: RunRecord): Promise<void> {
    const { command, instance, errorCode } = record;
    // No success of that command would ever take its place.
    if (command !== "serve") this.last.set(`${command} ${instance}`, record);
    if (errorCode === undefined) this.jobs.succeeded++;
    else this.jobs.failed.set(errorCode, (this.jobs.failed.get(errorCode) ?? 0) + 1);
    this.warn(await writeMetrics(this.files, record, [...this.last.values()], this.jobs));
  }

  private warn(failures: BlockferryError[]): void {
    for (const { message, remedy, code } of failures) this.log.warn(`${message} ${remedy}`, { code });
  }
}
