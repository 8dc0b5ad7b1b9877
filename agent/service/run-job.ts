import { asBlockferryError, BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { BlockSource } from "../../native-free-io/block-source.js";
import type { KmsMacKey } from "../../repository/encryption/mac-key.js";
import { fromLockRecord, type ObjectLock } from "../../repository/format/recovery-point.js";
import type { BackupJob, Job } from "../../repository/jobs/job.js";
import type { ListedJob } from "../../repository/jobs/job-key.js";
import type { JobResult } from "../../repository/jobs/job-replies.js";
import { Replies } from "../../repository/jobs/signed-document.js";
import { expectationOf } from "../../repository/open/expectation.js";
import type { Repository } from "../../repository/open/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { StoredPoint } from "../backup/backup.js";
import { RunMeter } from "../metrics/run-record.js";
import { reportedBackup } from "../report/backup-report.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import { chosenParallelism, refuseParallelism } from "../tune/tune.js";
import { ReadRecord } from "../verify/read-record.js";
import { acceptJob, type JobHistory, readUnprovenJob } from "./accept-job.js";
import { type JobStorage, mayRecover, storageFor } from "./control-storage.js";
import { Heartbeat, JobProgress } from "./heartbeat.js";
import { provenPointOf } from "./proven-point.js";
import { historyOf, refuseUnsignedReplies, repliesTo } from "./reply-to.js";
import { type DeviceSearch, restoreVolumes, withDevices } from "./restore-volumes.js";
import type { ServiceMetrics, ServiceReports } from "./service-records.js";

/** Options of a job. The signal stops the service together with the job. */
export interface JobOptions extends DeviceSearch {
  metrics: ServiceMetrics;
  reports: ServiceReports;
  /** For backups that do not set a number of threads. */
  threads: number | "auto" | undefined;
  worker: string;
  /** If undefined, jobs need no signature. */
  jobKey: KmsMacKey | undefined;
  /** Signs replies to jobs that request it. */
  replyKey: KmsMacKey | undefined;
  /** For the objects of jobs; its requests do not queue behind those of a backup. */
  control: Storage;
  statusIntervalMs: number;
}

/** The outcome of a job, and the storage for its result. */
interface JobEnd {
  outcome: JobResult["outcome"];
  control: Storage;
  /** Signs the result. */
  replies: Replies;
  /** Closes the connections that only this job used; call it once the result is written. */
  close(): void;
}

/**
 * Runs a job and returns its outcome.
 * @throws Interrupted if the service must stop: the job then has no outcome, and the next service resumes it;
 * storage errors if the job cannot be read for now
 */
export async function executeJob(
  repository: Repository,
  listed: ListedJob,
  options: JobOptions,
): Promise<JobEnd> {
  const { id, objects } = listed;
  const { control, signal } = options;
  const place = { ...expectationOf(repository.config), id, worker: options.worker };
  const replyKey = options.replyKey && { ...options.replyKey, signal };
  let replies = new Replies(undefined, place);
  let job: Job;
  let history: JobHistory;
  let storage: JobStorage;
  try {
    const text = await readUnprovenJob(control, id);
    replies = await repliesTo(text, place, replyKey);
    if (objects.has("cancel")) throw cancelled(id);
    ({ job, history } = await acceptJob(text, place, {
      key: options.jobKey && { ...options.jobKey, signal },
      history: () => historyOf(control, listed, replies),
    }));
    refuseUnsignedReplies(id, job.replyKey, replies, replyKey);
    storage = await storageFor(job, { repository, control }, options.signal);
  } catch (error) {
    if (mayRecover(error)) throw error;
    await options.metrics.tell(new RunMeter("serve").end(error));
    return { outcome: failed(error), control, replies, close: () => undefined };
  }
  const run = { ...options, control: storage.control, replies };
  const meter = new RunMeter(job.kind, job.kind === "backup" ? job.instance.instanceId : undefined);
  meter.countRetries(storage.repository.location);
  const outcome = await runAccepted(storage.repository, job, history, { ...run, meter });
  await options.metrics.tell(meter.finish(outcome.ok ? undefined : outcome.error.code));
  return { outcome, control: storage.control, replies, close: storage.close };
}

async function runAccepted(
  repository: Repository,
  job: Job,
  history: JobHistory,
  options: JobOptions & { meter: RunMeter; replies: Replies },
): Promise<JobResult["outcome"]> {
  const { log, meter } = options;
  const cancel = new AbortController();
  const progress = new JobProgress((message) => log.warn(message, { job: job.id }));
  const watcher = meter.watch(progress);
  const heartbeat = new Heartbeat({
    ...{ storage: options.control, job: job.id, worker: options.worker, progress, log },
    replies: options.replies,
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
    if (made !== undefined) return { ok: true, point: made };
    const { point, reliance } = await backUpVolumes(repository, job, { ...options, watcher, signal });
    return { ok: true, point: point.id, reliance };
  } catch (error) {
    if (cancel.signal.aborted) return failed(cancelled(job.id));
    throwIfInterrupted(options.signal);
    // The service retries this lookup of an existing point, as it does for a job that cannot be read.
    if (!isWorking && mayRecover(error)) {
      await heartbeat.leave();
      throw error;
    }
    return failed(error);
  } finally {
    await heartbeat.end();
  }
}

async function backUpVolumes(
  repository: Repository,
  job: BackupJob,
  options: JobOptions & { watcher: RunWatcher; meter: RunMeter; replies: Replies },
): Promise<StoredPoint> {
  const { compression, badBlocks } = job.options;
  const wanted = {
    threads: job.options.threads ?? options.threads,
    queueDepth: job.options.queueDepth ?? undefined,
  };
  refuseParallelism(wanted);
  return withDevices(job, { ...options, open: (path) => BlockSource.open(path) }, async (found) => {
    const devices = found.map(({ device, volume: { name, origin } }) => ({
      ...{ path: device.path, source: device, name, ebs: origin },
    }));
    const parallelism = await chosenParallelism(wanted, {
      devices: devices.map(({ path }) => path),
      storage: repository.storage,
      notice: options.watcher.notice,
      signal: options.signal,
    });
    const report = await options.reports.begin(job, {
      control: options.control,
      replies: options.replies,
      notice: options.watcher.notice,
    });
    const reporting = { report, meter: options.meter };
    const record = await ReadRecord.load(repository);
    return reportedBackup(repository, reporting, {
      ...{ devices, ...parallelism, compression, badBlocks, tags: job.tags },
      ...{ proveKnown: job.options.proveKnown, hasRead: (id: string) => record.hasRead(id) },
      lock: lockOf(job),
      origin: { instance: job.instance, job: job.id },
      watcher: options.watcher,
      signal: options.signal,
    });
  });
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
      "The stored data stay, and the next backup does not store them again. Start a new job when you want one.",
    object: id,
  });
}
