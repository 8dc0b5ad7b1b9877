import { asBlockferryError, BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import type { BackupJob, Job } from "../../repository/jobs/job.js";
import type { ListedJob } from "../../repository/jobs/job-key.js";
import type { JobResult } from "../../repository/jobs/job-result.js";
import type { Repository } from "../../repository/repository.js";
import { fromLockRecord, type ObjectLock } from "../../repository/storage/object-lock.js";
import type { Storage } from "../../repository/storage/storage.js";
import { RunMeter } from "../metrics/run-meter.js";
import { reportedBackup } from "../report/reported-backup.js";
import type { RunWatcher } from "../run-watcher.js";
import { chosenParallelism, refuseParallelism } from "../tune/chosen-parallelism.js";
import { acceptJob, type JobHistory } from "./accept-job.js";
import { type DeviceSearch, findDevices } from "./find-devices.js";
import { Heartbeat } from "./heartbeat.js";
import { JobProgress } from "./job-progress.js";
import { type JobStorage, storageFor } from "./job-storage.js";
import { isPassing } from "./patience.js";
import type { JobKey } from "./prove-job.js";
import { provenPointOf } from "./proven-point.js";
import { restoreVolumes } from "./restore-volumes.js";
import type { ServiceMetrics } from "./service-metrics.js";
import type { ServiceReports } from "./service-reports.js";

/** Its signal ends the service, and the job with it. */
export interface JobOptions extends DeviceSearch {
  metrics: ServiceMetrics;
  reports: ServiceReports;
  /** For backups that do not say how many threads they want. */
  threads: number | "auto" | undefined;
  worker: string;
  /** Without one, jobs are not signed. */
  jobKey: JobKey | undefined;
  /** For the objects of jobs; its requests do not queue behind those of a backup. */
  control: Storage;
  statusIntervalMs: number;
}

/** How a job ended, and the storage that its result belongs in. */
export interface JobEnd {
  outcome: JobResult["outcome"];
  control: Storage;
}

/**
 * Does a job, up to its outcome.
 * @throws Interrupted when the service is to end: the job has no outcome then, and the next service takes it up; what the
 * storage throws when the job cannot be read for now
 */
export async function runJob(
  repository: Repository,
  listed: ListedJob,
  options: JobOptions,
): Promise<JobEnd> {
  const { id, objects } = listed;
  const { control, jobKey } = options;
  const refuse = async (error: unknown): Promise<JobEnd> => {
    await options.metrics.tell(new RunMeter("serve").end(error));
    return { outcome: failed(error), control };
  };
  if (objects.has("cancel")) return refuse(cancelled(id));
  let job: Job;
  let storage: JobStorage;
  // Nobody but this worker writes the heartbeat of its job: where there is one, it has begun already.
  const history = objects.has("status") ? "begun" : "new";
  try {
    job = await acceptJob(control, id, {
      ...{ worker: options.worker, repository: repository.config.id, history },
      key: jobKey && { ...jobKey, signal: options.signal },
    });
    storage = await storageFor(job, { repository, control }, options.signal);
  } catch (error) {
    if (isPassing(error)) throw error;
    return refuse(error);
  }
  const run = { ...options, control: storage.control };
  const meter = new RunMeter(job.kind, job.kind === "backup" ? job.instance.instanceId : undefined);
  meter.countRetries(storage.repository.location);
  const outcome = await runAccepted(storage.repository, job, history, { ...run, meter });
  await options.metrics.tell(meter.finish(outcome.ok ? undefined : outcome.error.code));
  return { outcome, control: storage.control };
}

async function runAccepted(
  repository: Repository,
  job: Job,
  history: JobHistory,
  options: JobOptions & { meter: RunMeter },
): Promise<JobResult["outcome"]> {
  const { log, meter } = options;
  const cancel = new AbortController();
  const progress = new JobProgress((message) => log.warn(message, { job: job.id }));
  const watcher = meter.watch(progress);
  const heartbeat = new Heartbeat({
    ...{ storage: options.control, job: job.id, worker: options.worker, progress, log },
    intervalMs: options.statusIntervalMs,
    onCancel: () => cancel.abort(),
    signal: options.signal,
  });
  const signal = AbortSignal.any([options.signal, cancel.signal]);
  let isWorking = false;
  try {
    await heartbeat.begin();
    if (job.kind === "restore") {
      isWorking = true;
      const point = await restoreVolumes(repository, job, history, { ...options, progress: watcher, signal });
      return { ok: true, point };
    }
    const lock = lockOf(job);
    const made =
      history === "new" ? undefined : await provenPointOf(repository.storage, job.id, { lock, log, signal });
    isWorking = true;
    const point = made ?? (await backUpVolumes(repository, job, { ...options, watcher, signal }));
    return { ok: true, point };
  } catch (error) {
    if (cancel.signal.aborted) return failed(cancelled(job.id));
    throwIfInterrupted(options.signal);
    // A point that may be there already is asked for again, by the service, as a job that cannot be read is.
    if (!isWorking && isPassing(error)) {
      await heartbeat.leave();
      throw error;
    }
    return failed(error);
  } finally {
    await heartbeat.end();
  }
}

/** @returns the id of the recovery point */
async function backUpVolumes(
  repository: Repository,
  job: BackupJob,
  options: JobOptions & { watcher: RunWatcher; meter: RunMeter },
): Promise<string> {
  const { compression, badBlocks } = job.options;
  const wanted = {
    threads: job.options.threads ?? options.threads,
    queueDepth: job.options.queueDepth ?? undefined,
  };
  refuseParallelism(wanted);
  const found = await findDevices(job, options);
  const devices = found.map(({ path, volume: { name, origin } }) => ({ path, name, ebs: origin }));
  const parallelism = await chosenParallelism(wanted, {
    devices: devices.map(({ path }) => path),
    storage: repository.storage,
    notice: options.watcher.notice,
    signal: options.signal,
  });
  const report = await options.reports.begin(job, {
    control: options.control,
    notice: options.watcher.notice,
  });
  const told = { report, meter: options.meter };
  const { point } = await reportedBackup(repository, told, {
    ...{ devices, ...parallelism, compression, badBlocks, tags: job.tags },
    lock: lockOf(job),
    origin: { instance: job.instance, job: job.id },
    watcher: options.watcher,
    signal: options.signal,
  });
  return point.id;
}

function lockOf({ options: { lock } }: BackupJob): ObjectLock | undefined {
  return lock && fromLockRecord(lock);
}

function failed(error: unknown): JobResult["outcome"] {
  return { ok: false, error: asBlockferryError(error).toRecord() };
}

function cancelled(id: string): BlockferryError {
  return new BlockferryError({
    code: "Cancelled",
    message: `${id} was cancelled.`,
    remedy:
      "What is stored stays, and the next backup does not store it again. Start a new job when you want one.",
    object: id,
  });
}
