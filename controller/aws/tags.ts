import type { Filter, ResourceType, Tag, TagSpecification } from "@aws-sdk/client-ec2";

/** Says to which job a resource belongs. What does not carry it is never changed or removed. */
export const JOB_TAG = "blockferry:job";

/** Which volume a snapshot or volume is a copy of: its id, or its name in the recovery point. */
export const SOURCE_VOLUME_TAG = "blockferry:source-volume";

/** What a snapshot is in the workflow: taken of the instance or of a filled volume, or copied by one of the parties. */
export const ROLE_TAG = "blockferry:role";

/** Which job has made what a restore has delivered. That is its owner's then: it has lost the tag of the job. */
export const RESTORED_BY_TAG = "blockferry:restored-by";

/** What a restored resource is the content of: `POINT/VOLUME`. */
export const RESTORED_FROM_TAG = "blockferry:restored-from";

/** Role of an instance that a restore has launched, in contrast to a worker's none. */
export const RESTORED_INSTANCE = "restored-instance";

/** Tags that AWS puts on together with making the resource: there is no moment without them. */
export function tagged(
  resource: ResourceType,
  jobId: string,
  more: Record<string, string> = {},
): TagSpecification {
  const tags = { [JOB_TAG]: jobId, Name: jobName(jobId), ...more };
  return { ResourceType: resource, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
}

/** How the EC2 console calls what a job has made. */
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
