import type { Filter, ResourceType, Tag, TagSpecification } from "@aws-sdk/client-ec2";

/** Says to which job a resource belongs. What does not carry it is never changed or removed. */
export const JOB_TAG = "blockferry:job";

/** Which volume of the instance a snapshot or volume is a copy of. */
export const SOURCE_VOLUME_TAG = "blockferry:source-volume";

/** What a snapshot is in the workflow: taken of the instance, or copied by one of the parties. */
export const ROLE_TAG = "blockferry:role";

/** Tags that AWS puts on together with making the resource: there is no moment without them. */
export function tagged(
  resource: ResourceType,
  jobId: string,
  more: Record<string, string> = {},
): TagSpecification {
  const tags = { [JOB_TAG]: jobId, Name: `blockferry ${jobId}`, ...more };
  return { ResourceType: resource, Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
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
