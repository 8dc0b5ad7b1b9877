import { openStorage } from "../../repository/storage/open-storage.js";
import type { Storage, StorageLocation } from "../../repository/storage/storage.js";

/** Longer than a request may be late, and far shorter than what makes a controller give a heartbeat up. */
const CONTROL_OUTAGE_MS = 10_000;

/**
 * For the objects of jobs: heartbeats are few and small, and must not wait in line behind the packs of a backup. An outage is
 * waited out by the service, where it is logged.
 */
export async function openControl(location: StorageLocation, signal: AbortSignal): Promise<Storage> {
  return (await openStorage(controlLocation(location))).until(signal);
}

function controlLocation(location: StorageLocation): StorageLocation {
  if (location.kind !== "s3") return location;
  const outageMs = Math.min(location.outageMs, CONTROL_OUTAGE_MS);
  return { ...location, bandwidthLimit: undefined, outageMs };
}
