import { BlockferryError } from "../foundation/blockferry-error.js";
import { jobKey } from "../repository/jobs/job-key.js";
import { readSealedIfThere } from "../repository/read-sealed.js";
import { sealJson } from "../repository/sealed-json.js";
import type { Storage } from "../repository/storage/storage.js";
import { type BackupFigures, BackupFiguresSchema } from "./backup-figures.js";

/** Leaves the figures of a job's backup for whoever draws them. */
export async function writeFigures(storage: Storage, job: string, figures: BackupFigures): Promise<void> {
  await storage.put(jobKey(job, "figures"), sealJson(BackupFiguresSchema.parse(figures)));
}

/**
 * @param expected recovery point that the job has made, and instance that it was to back up
 * @returns undefined when there are none
 * @throws ObjectCorrupt when they are of others; RepositoryUnsupported
 */
export async function readFigures(
  storage: Storage,
  job: string,
  expected: Pick<BackupFigures, "point" | "machine">,
): Promise<BackupFigures | undefined> {
  const key = jobKey(job, "figures");
  const figures = await readSealedIfThere(storage, key, BackupFiguresSchema);
  if (figures === undefined) return undefined;
  if (figures.point === expected.point && figures.machine === expected.machine) return figures;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is not about recovery point ${expected.point} of ${expected.machine}.`,
    remedy: "The recovery point is not concerned. Look who else writes to the repository.",
    object: key,
  });
}
