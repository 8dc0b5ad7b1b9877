import { BlockferryError } from "../../foundation/blockferry-error.js";
import { isVolume } from "../../repository/point-filter.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import { GIB, type RestoredVolume } from "../plan.js";

/**
 * Volume types with configurable IOPS and throughput. EC2 API reference, CreateVolume: `Iops`, `Throughput`.
 */
const WITH_IOPS = ["gp3", "io1", "io2"];
const WITH_THROUGHPUT = ["gp3"];
/**
 * Maximum number of recorded tags on a resource.
 * A resource has at most 50 tags (AWS: "Tag restrictions"), and blockferry uses six for the job and the
 * origin.
 */
const MAX_OWN_TAGS = 44;
/** For volumes that were backed up as devices or files, without an instance. */
const DEFAULT_TYPE = "gp3";

/**
 * Returns the properties of volumes like the recorded ones.
 * @param names names of the wanted volumes, or their EBS ids; empty for all
 * @throws Usage when the point has no volume with one of the names
 */
export function restoredVolumes(point: RecoveryPoint, names: string[]): RestoredVolume[] {
  const known = point.volumes.map(({ name }) => name);
  const unknown = names.find((name) => !point.volumes.some((volume) => isVolume(volume, name)));
  if (unknown !== undefined) {
    throw new BlockferryError({
      code: "Usage",
      message: `--volume ${unknown} is no volume of recovery point ${point.id}.`,
      remedy: `Its volumes are ${known.join(", ")}.`,
      object: point.id,
    });
  }
  const isWanted = (volume: RecoveryPointVolume) =>
    names.length === 0 || names.some((name) => isVolume(volume, name));
  return point.volumes.filter(isWanted).map(likeRecorded);
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
 * Returns the recorded tags that can be set again.
 * Names that start with `aws:` are reserved, and names that start with `blockferry:` belong to another job.
 */
export function ownTags(tags: Record<string, string>): Record<string, string> {
  const own = Object.entries(tags).filter(([key]) => !/^(aws|blockferry):/i.test(key));
  return Object.fromEntries(own.slice(0, MAX_OWN_TAGS));
}
