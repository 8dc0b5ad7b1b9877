import type { Filter, ResourceType, Tag, TagSpecification } from "@aws-sdk/client-ec2";

/** The job that a resource belongs to. A resource without this tag is never changed or removed. */
export const JOB_TAG = "blockferry:job";

/** The volume that a snapshot or volume is a copy of: its id, or its name in the recovery point. */
export const SOURCE_VOLUME_TAG = "blockferry:source-volume";

/** Role of a resource in the workflow: a `SnapshotRole`, or `RESTORED_INSTANCE`. */
export const ROLE_TAG = "blockferry:role";

/**
 * The job that delivered a restored resource, which belongs to its owner and no longer carries the tag of the
 * job.
 */
export const RESTORED_BY_TAG = "blockferry:restored-by";

/** The source of a restored resource: `POINT/VOLUME`. */
export const RESTORED_FROM_TAG = "blockferry:restored-from";

/** Role of an instance that a restore has launched; a worker has no role. */
export const RESTORED_INSTANCE = "restored-instance";

/** Returns tags that AWS sets when it creates the resource, which therefore never exists without them. */
export function tagged(
  resource: ResourceType,
  jobId: string,
  more: Record<string, string> = {},
): TagSpecification {
  const tags = { [JOB_TAG]: jobId, Name: jobName(jobId), ...more };
  return { ResourceType: resource, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
}

/** Returns the name of a job's resources in the EC2 console. */
export function jobName(jobId: string): string {
  return `blockferry ${jobId}`;
}

export function jobFilter(jobId: string): Filter {
  return { Name: `tag:${JOB_TAG}`, Values: [jobId] };
}

export function tagOf(tags: Tag[] | undefined, key: string): string | undefined {
  return tags?.find(({ Key }) => Key === key)?.Value;
}

export function tagRecord(tags: Tag[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? "", Value ?? ""]));
}
