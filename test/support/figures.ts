import { type BackupFigures, noSeconds, type VolumeReport } from "../../report/backup-figures.js";
import { INSTANCE } from "./jobs.js";

/** Returns the figures of a small backup that ran with one thread. */
export function someFigures(point: string, fields: Partial<BackupFigures> = {}): BackupFigures {
  const stages = { ...noSeconds(), device: 0.5, hash: 0.25 };
  const counts = { sourceBytes: 4 * 2 ** 19, zeroBytes: 2 ** 19, duplicateBytes: 2 ** 20 };
  return {
    ...{
      version: 1,
      kind: "backup",
      point,
      repository: "s3://backups/fleet",
      machine: INSTANCE.instanceId,
    },
    ...{
      createdAt: "2026-11-23T11:21:50.000Z",
      tags: { env: "prod" },
      seconds: 1.5,
      threads: 1,
      queueDepth: 4,
    },
    ...{ stats: { ...counts, newBytes: 2 ** 19, storedBytes: 300_000 }, compared: true },
    volumes: [someVolume("root", [[1, 1, 1, 1, 0]])],
    steps: [
      { step: "prepare", start: 0, end: 0.5 },
      { step: "read", start: 0.5, end: 1.5 },
    ],
    stages: [stages],
    timeline: [{ seconds: 0.75, readBytes: 4 * 2 ** 19, storedBytes: 300_000, stages }],
    ...fields,
  };
}

/** Returns a volume with this map. */
export function someVolume(name: string, cells: number[][]): VolumeReport {
  const bytes = { zero: 2 ** 19, unchanged: 2 ** 19, deduplicated: 2 ** 19, new: 2 ** 19 };
  return {
    ...{ name, source: "/dev/nvme1n1", sizeBytes: 4 * 2 ** 19, unreadableBytes: 0 },
    ...{ parent: "20261122T112150Z-00000000", bytes, chunksPerCell: 4, cells },
  };
}
