import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { newPointId, pointKey, type RecoveryPoint } from "../../repository/format/recovery-point.js";
import { writePoint } from "../../repository/points/points.js";
import type { Storage } from "../../repository/storage/storage.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Returns the time `days` days from now; negative for the past. */
export function daysFromNow(days: number): Date {
  return new Date(Date.now() + days * DAY_MS);
}

/** Returns a point of one machine, without volumes. */
export function emptyPoint(
  repository: string,
  createdAt: Date,
  fields: Partial<RecoveryPoint> = {},
): RecoveryPoint {
  return {
    ...{ version: 1, id: newPointId(createdAt), repository, hostname: "worker", tags: {}, volumes: [] },
    ...{ startedAt: createdAt.toISOString(), createdAt: createdAt.toISOString() },
    stats: { sourceBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    ...fields,
  };
}

/**
 * Puts points with given times into a local repository.
 * @param storedAt time at which the storage received each point: the time of the point, or now, which an
 * attacker cannot avoid
 * @returns their ids
 */
export async function plantPoints(
  storage: Storage,
  repository: string,
  times: readonly Date[],
  storedAt: "in time" | "now",
): Promise<string[]> {
  const ids: string[] = [];
  for (const time of times) {
    const point = emptyPoint(repository, time);
    await writePoint(storage, point);
    if (storedAt === "in time") await utimes(join(storage.name, pointKey(point.id)), time, time);
    ids.push(point.id);
  }
  return ids;
}
