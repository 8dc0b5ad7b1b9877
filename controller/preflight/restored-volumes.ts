import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import { GIB, type RestoredVolume } from "../plan.js";

/** Volumes that AWS lets choose these for. EC2 API reference, CreateVolume: `Iops`, `Throughput`. */
const WITH_IOPS = ["gp3", "io1", "io2"];
const WITH_THROUGHPUT = ["gp3"];
/** A resource has at most 50 tags (AWS: "Tag restrictions"), and six are taken by the job's and those that tell where it is from. */
const MAX_OWN_TAGS = 44;
/** For volumes that were backed up as devices or files, without an instance. */
const DEFAULT_TYPE = "gp3";

/**
 * What volumes like those of a point are made with. @param names of those that are wanted; none for all
 * @throws Usage when the point has no volume of one of the names
 */
export function restoredVolumes(point: RecoveryPoint, names: string[]): RestoredVolume[] {
  const known = point.volumes.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new BlockferryError({
      code: "Usage",
      message: `--volume ${unknown} is no volume of recovery point ${point.id}.`,
      remedy: `Its volumes are ${known.join(", ")}.`,
      object: point.id,
    });
  }
  return point.volumes.filter(({ name }) => names.length === 0 || names.includes(name)).map(likeRecorded);
}

function likeRecorded({ name, sizeBytes, badRanges, ebs }: RecoveryPointVolume): RestoredVolume {
  const type = ebs?.type ?? DEFAULT_TYPE;
  return {
    ...{ name, type, sizeGib: Math.max(1, Math.ceil(sizeBytes / GIB)) },
    iops: WITH_IOPS.includes(type) ? (ebs?.iops ?? null) : null,
    throughput: WITH_THROUGHPUT.includes(type) ? (ebs?.throughput ?? null) : null,
    attachName: ebs?.attachName ?? null,
    deleteOnTermination: ebs?.deleteOnTermination ?? false,
    unreadableBytes: badRanges.reduce((sum, { length }) => sum + length, 0),
    tags: ownTags(ebs?.tags ?? {}),
  };
}

/**
 * Recorded tags as far as they can be given: names that begin with `aws:` are AWS's to give, and those of blockferry would be of
 * another job.
 */
export function ownTags(tags: Record<string, string>): Record<string, string> {
  const own = Object.entries(tags).filter(([key]) => !/^(aws|blockferry):/i.test(key));
  return Object.fromEntries(own.slice(0, MAX_OWN_TAGS));
}
