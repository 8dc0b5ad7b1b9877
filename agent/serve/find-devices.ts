import {
  type AttachedVolume,
  type DeviceTree,
  type DeviceWait,
  type OpenDevice,
  waitForDevice,
} from "../../native-free-io/find-device.js";
import type { ServiceLog } from "./service-log.js";

export interface DeviceSearch {
  devices: DeviceTree;
  /** How long a volume's device may take to appear. */
  deviceTimeoutMs: number;
  log: ServiceLog;
  signal: AbortSignal;
}

/** A volume of a job, and its device. */
export interface FoundVolume<Volume, Device> {
  volume: Volume;
  device: Device;
}

/**
 * Opens the devices of a job's volumes, runs `use`, and closes them.
 * They are in the job's order. If one is not found, it does not wait for the others.
 * @throws DeviceNotFound, DeviceSizeDiffers, AbortError; the errors of `open` and `use`
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
