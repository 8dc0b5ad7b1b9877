import { readJobWorker } from "../../repository/jobs/job.js";
import { type ListedJob, listJobs } from "../../repository/jobs/job-key.js";
import { undefinedIfAbsent } from "../../repository/storage/if-absent.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { ServiceLog } from "./service-log.js";

/** The jobs that wait for one worker. */
export class Inbox {
  /** Jobs of other workers, which need not be read on every poll. */
  private readonly foreign = new Set<string>();

  constructor(
    private readonly storage: Storage,
    private readonly worker: string,
    private readonly log: ServiceLog,
  ) {}

  /** Returns the oldest job for this worker without a result, even if an agent that died has started it. */
  async next(): Promise<ListedJob | undefined> {
    for (const job of await listJobs(this.storage)) {
      const isOpen = job.objects.has("job") && !job.objects.has("result");
      if (isOpen && !this.foreign.has(job.id) && (await this.isMine(job.id))) return job;
    }
    return undefined;
  }

  private async isMine(id: string): Promise<boolean> {
    const found = await undefinedIfAbsent(async () => ({ worker: await readJobWorker(this.storage, id) }));
    if (found === undefined) return false;
    if (found.worker === this.worker) return true;
    this.foreign.add(id);
    if (found.worker === undefined) {
      this.log.warn(`${id} is left alone: its job.json is too damaged to tell whom it is for.`, { job: id });
    }
    return false;
  }
}
