import { chooseThreads } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { firstData } from "../../native-free-io/first-data.js";
import type { RestoreJob } from "../../repository/jobs/job.js";
import { findPoint, type RecoveryPoint, type RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { withReadLease } from "../read-lease.js";
import { restore } from "../restore/restore.js";
import type { RunWatcher } from "../run-watcher.js";
import type { JobHistory } from "./accept-job.js";
import { type DeviceSearch, findDevices } from "./find-devices.js";

/**
 * Fills the volumes of a job from its recovery point. Nothing is written unless all of them are blank, or an agent has begun
 * this job before: then what they hold is the job's own.
 * @returns the id of the recovery point
 * @throws TargetNotEmpty, JobRefused; what finding devices and restoring throw
 */
export async function restoreVolumes(
  repository: Repository,
  job: RestoreJob,
  history: JobHistory,
  options: DeviceSearch & { progress: RunWatcher },
): Promise<string> {
  const { progress: watcher, signal } = options;
  return withReadLease(repository.storage, { watcher, signal }, async () => {
    const point = await findPoint(repository.storage.until(signal), job.point);
    if (point.id !== job.point) throw refused(job, `${job.point} is no id of a recovery point.`);
    const volumes = new Map(job.volumes.map(({ name }) => [name, volumeOf(job, point, name)]));
    const found = await findDevices(job, options);
    if (history === "new") {
      for (const { path, volume } of found) await assertBlank(job, path, volume);
    }
    await restore(repository, {
      targets: found.map(({ path, volume: { name } }) => ({ path, volume: volumes.get(name) as never })),
      ...{
        watcher,
        signal,
        existing: "refuse",
        missing: "refuse",
        threads: chooseThreads(job.options.threads ?? undefined),
      },
    });
    return point.id;
  });
}

function volumeOf(job: RestoreJob, point: RecoveryPoint, name: string): RecoveryPointVolume {
  const volume = point.volumes.find((other) => other.name === name);
  if (volume !== undefined) return volume;
  throw refused(job, `Recovery point ${point.id} has no volume ${name}.`);
}

type Target = RestoreJob["volumes"][number];

async function assertBlank({ id }: RestoreJob, path: string, { volumeId, sizeBytes }: Target): Promise<void> {
  const offset = await firstData(path, sizeBytes);
  if (offset === undefined) return;
  throw new BlockferryError({
    code: "TargetNotEmpty",
    message: `${path} (${volumeId}) holds data near byte ${offset}, and ${id} is to fill a blank volume; nothing was written.`,
    remedy: "Start a new restore, which makes volumes of its own; nothing that exists is overwritten.",
    object: volumeId,
    offset,
  });
}

function refused({ id }: RestoreJob, reason: string): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} is not done: ${reason}`,
    remedy: "Start a new job, with the same version of blockferry on both sides.",
    object: id,
  });
}
