import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { type MetricsFiles, tryMetrics, writeMetrics } from "../metrics/metrics-files.js";
import type { RunRecord } from "../metrics/run-record.js";
import type { ServiceLog } from "./service-log.js";

/** Metrics of a service: the last run of each command and instance, and how many jobs it has done. */
export class ServiceMetrics {
  private readonly last = new Map<string, RunRecord>();
  private readonly jobs = { succeeded: 0, failed: 0 };

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

  /** Never fails: a job is done whether anybody can be told or not. */
  async tell(record: RunRecord): Promise<void> {
    this.last.set(`${record.command} ${record.instance}`, record);
    this.jobs[record.errorCode === undefined ? "succeeded" : "failed"]++;
    this.warn(await writeMetrics(this.files, record, [...this.last.values()], this.jobs));
  }

  private warn(failures: BlockferryError[]): void {
    for (const { message, remedy, code } of failures) this.log.warn(`${message} ${remedy}`, { code });
  }
}
