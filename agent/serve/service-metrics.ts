import { type MetricsFiles, writeMetrics } from "../metrics/metrics-files.js";
import type { RunRecord } from "../metrics/run-record.js";
import type { ServiceLog } from "./service-log.js";

/** Metrics of a service: the last run of each command and instance, and how many jobs it has done. */
export class ServiceMetrics {
  private readonly last = new Map<string, RunRecord>();
  private readonly jobs = { succeeded: 0, failed: 0 };

  constructor(
    private readonly files: MetricsFiles,
    private readonly log: ServiceLog,
  ) {}

  /** Never fails: a job is done whether anybody can be told or not. */
  async tell(record: RunRecord): Promise<void> {
    this.last.set(`${record.command} ${record.instance}`, record);
    this.jobs[record.errorCode === undefined ? "succeeded" : "failed"]++;
    try {
      await writeMetrics(this.files, record, [...this.last.values()], this.jobs);
    } catch (error) {
      this.log.warn(`The metrics could not be written: ${error instanceof Error ? error.message : error}`);
    }
  }
}
