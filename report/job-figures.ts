import { BlockferryError } from "../foundation/blockferry-error.js";
import { jobKey } from "../repository/jobs/job-key.js";
import { sealJson, unsealJson } from "../repository/sealed-json.js";
import { againIfDamaged } from "../repository/storage/again-if-damaged.js";
import { undefinedIfAbsent } from "../repository/storage/if-absent.js";
import type { Storage } from "../repository/storage/storage.js";
import { type BackupFigures, BackupFiguresSchema } from "./backup-figures.js";

/** Leaves the figures of a job's backup for whoever draws them. */
export async function writeFigures(storage: Storage, job: string, figures: BackupFigures): Promise<void> {
  await storage.put(jobKey(job, "figures"), sealJson(figures));
}

/**
 * @param point id of the recovery point that the job has made
 * @returns undefined when there are none
 * @throws ObjectCorrupt when they are of another point; RepositoryUnsupported
 */
export async function readFigures(
  storage: Storage,
  job: string,
  point: string,
): Promise<BackupFigures | undefined> {
  const key = jobKey(job, "figures");
  const figures = await undefinedIfAbsent(() =>
    againIfDamaged(async () => unsealJson(await storage.get(key), BackupFiguresSchema, key)),
  );
  if (figures === undefined || figures.point === point) return figures;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} tells of recovery point ${figures.point}, and the job has made ${point}.`,
    remedy: "The recovery point is not concerned. Look who else writes to the repository.",
    object: key,
  });
}
