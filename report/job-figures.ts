import { BlockferryError } from "../foundation/blockferry-error.js";
import { jobKey } from "../repository/jobs/job-key.js";
import { type Replies, readSigned, sealSigned } from "../repository/jobs/signed-document.js";
import { undefinedIfAbsent } from "../repository/storage/if-absent.js";
import type { Storage } from "../repository/storage/storage.js";
import { type BackupFigures, BackupFiguresSchema } from "./backup-figures.js";

/** Stores the figures of a job's backup for a later report. */
export async function writeFigures(
  storage: Storage,
  job: string,
  figures: BackupFigures,
  replies: Replies,
): Promise<void> {
  const body = BackupFiguresSchema.parse(figures);
  await storage.put(jobKey(job, "figures"), sealSigned(body, replies.as("figures")));
}

/**
 * Reads the figures of a job's backup.
 * @param expected the recovery point of the job, and the instance of the backup
 * @returns undefined when there are none
 * @throws ObjectCorrupt when the figures belong to another point or machine; the errors of `readSigned`
 */
export async function readFigures(
  storage: Storage,
  job: string,
  expected: Pick<BackupFigures, "point" | "machine">,
  replies: Replies,
): Promise<BackupFigures | undefined> {
  const key = jobKey(job, "figures");
  const figures = await undefinedIfAbsent(() =>
    readSigned(storage, key, BackupFiguresSchema, replies.as("figures")),
  );
  if (figures === undefined) return undefined;
  if (figures.point === expected.point && figures.machine === expected.machine) return figures;
  throw new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is not about recovery point ${expected.point} of ${expected.machine}.`,
    remedy: "The recovery point is not concerned. Look who else writes to the repository.",
    object: key,
  });
}
