import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Repository } from "../../repository/repository.js";
import type { ListenAddress } from "./listen-address.js";
import { dataMissing, openVolume } from "./open-volume.js";
import { NbdServer } from "./server.js";
import { VolumeReader } from "./volume-reader.js";

export interface ServeVolumeOptions {
  point: RecoveryPoint;
  volume: RecoveryPointVolume;
  address: ListenAddress;
  /** Memory for the chunks used last. */
  cacheBytes: number;
  signal: AbortSignal;
  /** Told before anything is served that data of the volume are known to be missing. What it throws ends the serving. */
  onMissing(error: BlockferryError): void;
  /** Told once of each chunk that a client asked for and that cannot be read. @param where it belongs, and is stored */
  onUnreadable(error: BlockferryError, where: string): void;
}

/**
 * Serves a volume of a recovery point to NBD clients while `use` runs. The caller holds a lease on the repository.
 * @param use is given the NBD URI for clients
 * @throws ListenFailed, Interrupted, and what reading the index and the block map can come to
 */
export async function serveVolume<T>(
  { storage }: Repository,
  options: ServeVolumeOptions,
  use: (uri: string) => Promise<T>,
): Promise<T> {
  const { point, volume, signal } = options;
  const open = await openVolume(storage.until(signal), point, volume);
  const [firstMissing] = open.missing;
  if (firstMissing !== undefined) options.onMissing(dataMissing(open, firstMissing));
  const reader = new VolumeReader(open, {
    cacheBytes: options.cacheBytes,
    onUnreadable: (error, where) => {
      if (!signal.aborted) options.onUnreadable(error, where);
    },
  });
  throwIfInterrupted(signal);
  const { name, sizeBytes } = volume;
  const offered = { name, sizeBytes, description: `recovery point ${point.id}` };
  const server = await NbdServer.listen(options.address, reader, offered);
  try {
    return await use(server.uri);
  } finally {
    await server.close();
  }
}
