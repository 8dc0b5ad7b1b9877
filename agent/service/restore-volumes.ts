import { chooseThreads } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/errors.js";
import { firstData } from "../../native-free-io/block-source.js";
import { ClaimedDevice } from "../../native-free-io/devices.js";
import {
  type AttachedVolume,
  type DeviceTree,
  type DeviceWait,
  type OpenDevice,
  waitForDevice,
} from "../../native-free-io/find-device.js";
import {
  POINT_ID,
  type RecoveryPoint,
  type RecoveryPointVolume,
} from "../../repository/format/recovery-point.js";
import type { RestoreJob } from "../../repository/jobs/job.js";
import type { Repository } from "../../repository/open/repository.js";
import { findPoint } from "../../repository/points/find-point.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import { restore } from "../restore/restore.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import type { JobHistory } from "./accept-job.js";
import type { ServiceLog } from "./service-log.js";

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
    message: `${device.path} (${volumeId}) holds data near byte ${offset}, but ${id} must fill a blank volume; nothing was written.`,
    remedy: "Start a new restore, which creates its own volumes; it overwrites nothing that exists.",
    object: volumeId,
    offset,
  });
}

function refused({ id }: RestoreJob, reason: string): BlockferryError {
  return new BlockferryError({
    code: "JobRefused",
    message: `${id} is refused: ${reason}`,
    remedy: "Start a new job, with the same version of blockferry on both sides.",
    object: id,
  });
}

export interface DeviceSearch {
  devices: DeviceTree;
  /** How long a volume's device may take to appear. */
  deviceTimeoutMs: number;
  log: ServiceLog;
  signal: AbortSignal;
}

/** A volume of a job, and its device. */
interface FoundVolume<Volume, Device> {
  volume: Volume;
  device: Device;
}

/**
 * Opens the devices of a job's volumes, runs `use`, and closes them.
 * They are in the job's order. If one is not found, it does not wait for the others.
 * @throws DeviceNotFound, DeviceSizeDiffers, the signal's reason; the errors of `open` and `use`
 */
export async function withDevices<
  Volume extends AttachedVolume & { name: string },
  Device extends OpenDevice,
  Result,
>(
  job: { id: string; volumes: Volume[] },
  { open, ...search }: DeviceSearch & Pick<DeviceWait<Device>, "open">,
  use: (found: FoundVolume<Volume, Device>[]) => Promise<Result>,
): Promise<Result> {
  const { devices, deviceTimeoutMs: timeoutMs, log } = search;
  const failure = new AbortController();
  const signal = AbortSignal.any([search.signal, failure.signal]);
  const opened: Device[] = [];
  let reason: unknown;
  const find = async (volume: Volume) => {
    try {
      const device = await waitForDevice(volume, devices, { open, timeoutMs, signal });
      opened.push(device);
      log.info(`${volume.name} is ${device.path}`, {
        ...{ job: job.id, volume: volume.volumeId, device: device.path },
      });
      return [{ volume, device }];
    } catch (error) {
      reason ??= error;
      failure.abort();
      return [];
    }
  };
  try {
    const found = (await Promise.all(job.volumes.map(find))).flat();
    if (reason !== undefined) throw reason;
    return await use(found);
  } finally {
    for (const device of opened) await device.close();
  }
}
