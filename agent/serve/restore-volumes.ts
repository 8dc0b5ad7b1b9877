import { chooseThreads } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { ClaimedDevice } from "../../native-free-io/claimed-device.js";
import { firstData } from "../../native-free-io/first-data.js";
import { findPoint } from "../../repository/find-point.js";
import type { RestoreJob } from "../../repository/jobs/job.js";
import { POINT_ID, type RecoveryPoint, type RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import { withReadLease } from "../read-lease.js";
import { restore } from "../restore/restore.js";
import type { RunWatcher } from "../run-watcher.js";
import type { JobHistory } from "./accept-job.js";
import { type DeviceSearch, withDevices } from "./find-devices.js";

/**
 * Restores the volumes of a job from its recovery point.
 * Nothing is written unless all volumes are blank, or an agent has started this job before: then their data
 * come from the job itself.
 * @returns the id of the recovery point
 * @throws TargetNotEmpty, JobRefused; the errors of finding devices and restoring
 */
export async function restoreVolumes(
  repository: Repository,
  job: RestoreJob,
  history: JobHistory,
  options: DeviceSearch & { progress: RunWatcher },
): Promise<string> {
  const { progress: watcher, signal } = options;
  return withReadLease(repository.storage, { watcher, signal }, async () => {
    if (!POINT_ID.test(job.point)) throw refused(job, `${job.point} is not the id of a recovery point.`);
    const point = await findPoint(repository.storage.until(signal), job.point);
    const volumes = new Map(job.volumes.map(({ name }) => [name, volumeOf(job, point, name)]));
    await withDevices(job, { ...options, open: (path) => ClaimedDevice.open(path) }, async (found) => {
      if (history === "new") {
        for (const { device, volume } of found) await assertBlank(job, device, volume);
      }
      await restore(repository, {
        targets: found.map(({ device, volume: { name } }) => ({
          ...{ path: device.path, device, volume: volumes.get(name) as never },
        })),
        ...{
          watcher,
          signal,
          existing: history === "new" ? "refuse" : "replace",
          missing: "refuse",
          threads: chooseThreads(job.options.threads ?? undefined),
        },
      });
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

async function assertBlank({ id }: RestoreJob, device: ClaimedDevice, { volumeId }: Target): Promise<void> {
  const offset = await firstData(device.handle.fd, device.sizeBytes);
  if (offset === undefined) return;
  throw new BlockferryError({
    code: "TargetNotEmpty",
    message: `${device.path} (${volumeId}) holds data near byte ${offset}, and ${id} is to fill a blank volume; nothing was written.`,
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
