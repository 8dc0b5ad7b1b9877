import { BlockferryError } from "../../foundation/errors.js";
import { type PointReference, pointIdOf, type RecoveryPoint } from "../format/recovery-point.js";
import { undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { wasNotAnswered } from "../storage/storage-errors.js";
import { futureDate } from "./point-dates.js";
import { pointObjects, readPoint } from "./points.js";

/** Newest points that are tried: junk must not cost a backup more reads than this. */
const MAX_TRIED = 16;

/**
 * Finds the predecessor of a point that is about to be written. That is the newest readable point with a
 * plausible date. Lists the names of all points, and usually reads one point. It reads all points of the same
 * second, since their names do not show which is the newest.
 * @param notice gets a warning if there are points, but none of those tried is usable
 * @returns null if none of the newest 16 is usable
 * @throws StorageUnavailable and other errors of a storage that does not answer
 */
export async function findPredecessor(
  storage: Storage,
  notice: (text: string) => void = () => undefined,
): Promise<PointReference | null> {
  const objects = await pointObjects(storage);
  const keys = objects
    .filter(({ key, ...stored }) => futureDate(pointIdOf(key), stored) === undefined)
    .map(({ key }) => key)
    .sort()
    .slice(-MAX_TRIED)
    .reverse();
  let newest: { point: RecoveryPoint; sha256: string } | undefined;
  for (const key of keys) {
    if (newest !== undefined && secondOf(pointIdOf(key)) !== secondOf(newest.point.id)) break;
    try {
      const read = await undefinedIfAbsent(() => readPoint(storage, key));
      if (read !== undefined && (newest === undefined || read.point.createdAt > newest.point.createdAt))
        newest = read;
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
    }
  }
  if (newest !== undefined) return { id: newest.point.id, sha256: newest.sha256 };
  if (objects.length > 0) {
    notice(
      `the new recovery point names no previous one: the newest of the ${objects.length} points in the repository cannot be read or have impossible dates. Run \`blockferry-agent verify\`.`,
    );
  }
  return null;
}

/** Returns the date and time in a point's id. */
function secondOf(id: string | undefined): string | undefined {
  return id?.split("-")[0];
}
