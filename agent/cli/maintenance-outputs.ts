import * as z from "zod/mini";
import { field, named } from "../../command-line/output-schema.js";
import {
  ChosenPointSchema,
  count,
  errors,
  PrintedErrorSchema,
  RangeSchema,
  strings,
} from "../../command-line/outputs.js";
import { byteCount } from "../../repository/format/recovery-point.js";

const dryRun = field("True with `--dry-run`: nothing was changed", z.boolean());

const salvaged = {
  chunksKept: field("Chunks that can still be read", count),
  chunksLost: field("Chunks that are lost; null if unknown", z.nullable(count)),
};

const CopySchema = z.strictObject({
  copied: field("Ids of the copied points, oldest first", strings),
  present: field("Ids of the points that the target already had", strings),
  forgotten: field("Ids of the points that are left out, because they were forgotten in the target", strings),
  chunks: field("Chunks and block-map nodes that the target did not have", count),
  storedBytes: field("Bytes that these take in the target", byteCount),
  recoveryPoints: field("The named points; empty if all points were meant", z.array(ChosenPointSchema)),
});

const StatsSchema = z.strictObject({
  points: field("Recovery points", count),
  packs: field("Packs", count),
  chunks: field("Distinct chunks and block-map nodes that recovery points need", count),
  logicalBytes: field("Size of all volumes of all points, in bytes", byteCount),
  uniqueBytes: field("Size of the needed chunks before compression, each counted once, in bytes", byteCount),
  compressedBytes: field("Their size as stored, in bytes", byteCount),
  storedBytes: field("Size of all packs in bytes", byteCount),
  deadBytes: field("Bytes of the packs that no point needs, which `prune` can free in time", byteCount),
  perPoint: field(
    "The points, oldest first",
    z.array(
      z.strictObject({
        id: field("Id of the point", z.string()),
        createdAt: field("End of the backup", z.iso.datetime()),
        logicalBytes: field("Size of its volumes in bytes", byteCount),
        deduplication: field(
          "Bytes of its volumes per new byte; null if nothing was new",
          z.nullable(z.number()),
        ),
        compression: field("New bytes per stored byte; null if nothing was stored", z.nullable(z.number())),
        freedBytes: field(
          "Stored bytes that only this point needs: forgetting it would free them",
          byteCount,
        ),
      }),
    ),
  ),
});

const KEPT_BY = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "lock"] as const;

const ForgetSchema = z.strictObject({
  dryRun,
  forgotten: field("Ids of the forgotten points", strings),
  needsYes: field(
    "Names of groups that would lose more than half of their points: they need `--yes`",
    strings,
  ),
  future: field("Errors about points that the rules left out, because their dates cannot be right", errors),
  groups: field(
    "The points that the rules were applied to, by machine; empty if points were named",
    z.array(
      z.strictObject({
        name: field("Name of the group", z.string()),
        points: field(
          "Its points, newest first",
          z.array(
            z.strictObject({
              id: field("Id of the point", z.string()),
              createdAt: field("End of the backup", z.iso.datetime()),
              keptBy: field("The rules that keep it; empty if it is forgotten", z.array(z.enum(KEPT_BY))),
            }),
          ),
        ),
      }),
    ),
  ),
});

const PacksSchema = named(
  "Packs",
  "A number of packs",
  z.strictObject({
    packs: field("Number of packs", count),
    bytes: field("Their size in bytes", byteCount),
  }),
);

const PruneSchema = z.strictObject({
  dryRun,
  removed: field("Removed packs; in a dry run, packs to remove when no run is in progress", PacksSchema),
  waiting: field(
    "Condemned packs, which are removed when the runs that may rely on them have ended",
    PacksSchema,
  ),
  noticed: field("Packs to remove once the grace period is over", PacksSchema),
  locked: field("Packs worth removing that are locked", PacksSchema),
  rewritten: field(
    "Packs of which little was needed, and whose needed chunks were copied into new packs",
    PacksSchema,
  ),
  kept: field("All packs that stay, including the noticed ones", PacksSchema),
  neededBytes: field("Stored bytes that recovery points need", byteCount),
  problems: field("The damage found; the exit code is then 3", errors),
  unreadable: field(
    "Errors of [documents that cannot be read](../how-to/disaster-recovery.md#when-documents-cannot-be-read)",
    errors,
  ),
  unfinishedRemoved: field(
    "Temporary files and multipart uploads of dead runs that were removed; absent with `--dry-run`",
    z.optional(count),
  ),
});

const RepairIndexSchema = z.strictObject({
  dryRun,
  packs: field("Packs in the new index", count),
  chunks: field("Chunks in the new index", count),
  segments: field("Segments of the new index", count),
  segmentsRemoved: field("Old segments that are removed", count),
  unlisted: field("Packs that no old segment listed", count),
  missing: field("Ids of packs that are gone although a segment listed them", strings),
  replaced: field("Errors of damaged segments", errors),
  damaged: field("Errors of packs with a damaged footer", z.array(z.extend(PrintedErrorSchema, salvaged))),
});

const RepairPacksSchema = z.strictObject({
  dryRun,
  packs: field(
    "The replaced packs",
    z.array(z.strictObject({ id: field("Id of the damaged pack", z.string()), ...salvaged })),
  ),
});

const RepairPointsSchema = z.strictObject({
  whole: field("Ids of the complete points, oldest first", strings),
  incomplete: field(
    "Points that lack data, oldest first; the exit code is then 3",
    z.array(
      z.strictObject({
        id: field("Id of the point", z.string()),
        volumes: field(
          "Its volumes that lack data",
          z.array(
            z.strictObject({
              name: field("Name of the volume", z.string()),
              sizeBytes: field("Its size in bytes", byteCount),
              lostBytes: field("Lost bytes", byteCount),
              lost: field("The lost ranges, in order", z.array(RangeSchema)),
            }),
          ),
        ),
      }),
    ),
  ),
  unreadable: field("Errors of points that cannot be read at all; the exit code is then 3", errors),
});

const MovedSchema = z.extend(PrintedErrorSchema, {
  from: field("Key of the damaged document", z.string()),
  to: field("Key that it was moved to", z.string()),
});

const RepairDocumentsSchema = z.strictObject({
  dryRun,
  moved: field("Errors of the documents that were moved aside", z.array(MovedSchema)),
  left: field("Errors of documents that stay, because their checksum is right", errors),
});

/** The results of the agent's commands that look after a repository. */
export const MAINTENANCE_OUTPUTS = {
  copy: CopySchema,
  stats: StatsSchema,
  forget: ForgetSchema,
  prune: PruneSchema,
  "repair index": RepairIndexSchema,
  "repair packs": RepairPacksSchema,
  "repair points": RepairPointsSchema,
  "repair documents": RepairDocumentsSchema,
};
