import { openStorage } from "../../repository/storage/open-storage.js";
import type { Storage, StorageLocation } from "../../repository/storage/storage.js";

/** Longer than a request may be late, and far shorter than a controller waits for a heartbeat. */
const CONTROL_OUTAGE_MS = 10_000;

/**
 * Opens the storage for the objects of jobs.
 * Heartbeats are few and small, and must not queue behind the packs of a backup. The service waits out an
 * outage itself, and logs it.
 */
export async function openControl(location: StorageLocation, signal: AbortSignal): Promise<Storage> {
  return (await openStorage(controlLocation(location))).until(signal);
}

function controlLocation(location: StorageLocation): StorageLocation {
  if (location.kind !== "s3") return location;
  const outageMs = Math.min(location.outageMs, CONTROL_OUTAGE_MS);
  return { ...location, bandwidthLimit: undefined, outageMs };
}
