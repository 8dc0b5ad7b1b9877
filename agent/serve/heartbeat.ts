import { asBlockferryError } from "../../foundation/blockferry-error.js";
import { isCancelled } from "../../repository/jobs/cancel.js";
import { readStatus, writeStatus } from "../../repository/jobs/job-status.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { JobProgress } from "./job-progress.js";
import { pause } from "./patience.js";
import type { ServiceLog } from "./service-log.js";

export interface HeartbeatOptions {
  storage: Storage;
  job: string;
  worker: string;
  intervalMs: number;
  progress: JobProgress;
  log: ServiceLog;
  /** Called when somebody asked for the job's end. */
  onCancel(): void;
}

/**
 * Tells the controller again and again that the agent lives and how far it is, and looks whether the job is cancelled. A
 * heartbeat that fails is logged and no more: the backup has threads and connections of its own, and may well go on.
 */
export class Heartbeat {
  private readonly ending = new AbortController();
  private readonly storage: Storage;
  private readonly beating: Promise<void>;

  constructor(private readonly options: HeartbeatOptions) {
    this.storage = options.storage.until(this.ending.signal);
    this.beating = this.beat();
  }

  /** Returns when no heartbeat is under way any more. */
  async end(): Promise<void> {
    this.ending.abort();
    await this.beating;
  }

  private async beat(): Promise<void> {
    const { job, intervalMs, log, onCancel } = this.options;
    let sequence: number | undefined;
    while (!this.ending.signal.aborted) {
      try {
        sequence = (sequence ?? (await this.lastSequence())) + 1;
        await this.tell(sequence);
        if (await isCancelled(this.storage, job)) onCancel();
      } catch (thrown) {
        if (this.ending.signal.aborted) return;
        const { message, code } = asBlockferryError(thrown);
        log.warn(`A heartbeat failed; the job goes on. ${message}`, { job, code });
      }
      await pause(intervalMs, this.ending.signal);
    }
  }

  /** An agent that was killed has left its heartbeat; a controller waits for a higher number. */
  private async lastSequence(): Promise<number> {
    const { job, log } = this.options;
    try {
      return (await readStatus(this.storage, job))?.sequence ?? 0;
    } catch (thrown) {
      const { code, message } = asBlockferryError(thrown);
      if (code !== "ObjectCorrupt" && code !== "RepositoryUnsupported") throw thrown;
      log.warn(`The last heartbeat cannot be read, counting anew. ${message}`, { job, code });
      return 0;
    }
  }

  private async tell(sequence: number): Promise<void> {
    const { job, worker, progress } = this.options;
    const updatedAt = new Date().toISOString();
    await writeStatus(this.storage, { version: 1, job, worker, sequence, updatedAt, ...progress.figures });
  }
}
