import { newPointId, type RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";
import { listPoints, writePoint } from "../../repository/points/points.js";
import { INSTANCE } from "./jobs.js";

/** Returns a point that was made `ageSeconds` ago. It has no volumes unless they are given. */
export function pointOf(
  repository: string,
  fields: Partial<RecoveryPoint>,
  ageSeconds: number,
): RecoveryPoint {
  const createdAt = new Date(Date.now() - ageSeconds * 1000);
  return {
    ...{ version: 1, id: newPointId(createdAt), repository, hostname: "worker", tags: {}, volumes: [] },
    ...{ startedAt: createdAt.toISOString(), createdAt: createdAt.toISOString() },
    stats: { sourceBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    ...fields,
  };
}

/** Writes the newest point again, as a backup of another machine. The copy can be restored. */
export async function writeAsOf(
  { config, storage }: Repository,
  fields: Partial<RecoveryPoint>,
  ageSeconds = 0,
): Promise<RecoveryPoint> {
  const { points } = await listPoints(storage);
  const { volumes, stats } = points.at(-1) ?? {};
  const point = pointOf(
    config.id,
    { ...(volumes && { volumes }), ...(stats && { stats }), ...fields },
    ageSeconds,
  );
  await writePoint(storage, point);
  return point;
}

/** Returns the instance of the tests' jobs, with another id. */
export function instanceOf(instanceId: string): NonNullable<RecoveryPoint["instance"]> {
  return { ...INSTANCE, instanceId };
}
