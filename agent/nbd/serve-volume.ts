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
  /** Memory for the most recently used chunks. */
  cacheBytes: number;
  signal: AbortSignal;
  /**
   * Called before serving starts if data of the volume are known to be missing. If it throws, nothing is
   * served.
   */
  onMissing(error: BlockferryError): void;
  /** Called with each index segment that hid chunks of the volume. */
  onFalseSegment(problem: BlockferryError): void;
  /**
   * Called once for each requested chunk that cannot be read.
   * @param where the chunk's position in the volume, and its place in a pack
   */
  onUnreadable(error: BlockferryError, where: string): void;
}

/**
 * Serves a volume of a recovery point to NBD clients while `use` runs.
 * The caller holds a lease on the repository.
 * @param use gets the NBD URI for clients
 * @throws ListenFailed, Interrupted, and the errors of reading the index and the block map
 */
export async function serveVolume<T>(
  { storage }: Repository,
  options: ServeVolumeOptions,
  use: (uri: string) => Promise<T>,
): Promise<T> {
  const { point, volume, signal } = options;
  const open = await openVolume(storage.until(signal), point, volume);
  for (const problem of open.falseSegments) options.onFalseSegment(problem);
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
