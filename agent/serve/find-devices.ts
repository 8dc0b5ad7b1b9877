import { type AttachedVolume, type DeviceTree, waitForDevice } from "../../native-free-io/find-device.js";
import type { ServiceLog } from "./service-log.js";

export interface DeviceSearch {
  devices: DeviceTree;
  /** How long a volume's device may take to appear. */
  deviceTimeoutMs: number;
  log: ServiceLog;
  signal: AbortSignal;
}

/**
 * The devices of a job's volumes, in their order. When one is not found, the others are not waited for.
 * @throws DeviceNotFound, DeviceSizeDiffers, AbortError
 */
export async function findDevices<Volume extends AttachedVolume & { name: string }>(
  job: { id: string; volumes: Volume[] },
  { devices, deviceTimeoutMs, log, signal }: DeviceSearch,
): Promise<{ volume: Volume; path: string }[]> {
  const failure = new AbortController();
  const search = { timeoutMs: deviceTimeoutMs, signal: AbortSignal.any([signal, failure.signal]) };
  const find = async (volume: Volume) => {
    const path = await waitForDevice(volume, devices, search);
    log.info(`${volume.name} is ${path}`, { job: job.id, volume: volume.volumeId, device: path });
    return { volume, path };
  };
  try {
    return await Promise.all(job.volumes.map(find));
  } finally {
    failure.abort();
  }
}
