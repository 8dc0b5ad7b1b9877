import type { Filter, ResourceType, Tag, TagSpecification } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { isNotFound } from "./aws-errors.js";
import { type JobContext, poll, waitFor } from "./poll.js";

/** A kind of resource that jobs create, in one account and Region. */
export interface ResourceKind<T extends { Tags?: Tag[] | undefined }> {
  idOf(resource: T): string;
  /** Returns the resources with the tag of the job. */
  list(): Promise<T[]>;
  /** Returns the resources with these ids that EC2 shows, regardless of their tags. */
  describe(ids: string[]): Promise<T[]>;
}

/** How to undo one kind of resource. */
interface Undoing<T extends { Tags?: Tag[] | undefined }> {
  kind: ResourceKind<T>;
  /** Ids recorded in the journal. */
  known: string[];
  /** The awaited state, for example "the volumes to be deleted". */
  what: string;
  timeoutMs: number;
  /**
   * Continues to undo one existing resource.
   * @returns true when nothing is left to do or to wait for
   */
  undo(resource: T): Promise<boolean>;
  /** Ids of resources that are expected to disappear. */
  removed?: ReadonlySet<string>;
}

/**
 * Undoes the resources of a kind that carry the job's tag.
 * Resources are found by tag or by id; resources that were handed over are left alone. It looks again until
 * every created resource is certainly visible, and does not take a resource for gone that EC2 only misses for
 * a moment.
 * @throws NotOfTheJob for ids in the journal that lack the tag, after everything else is undone; WaitTimedOut
 */
export async function undoEach<T extends { Tags?: Tag[] | undefined }>(
  context: JobContext,
  { kind, known: journaled, what, timeoutMs, undo, removed = new Set() }: Undoing<T>,
): Promise<void> {
  const { plan, timing, delivered } = context;
  const known = journaled.filter((id) => !delivered.has(id));
  const sightings = new Sightings(timing.visibleMs);
  let strangers: string[] = [];
  const object = known.length > 0 ? known.join(", ") : `the resources with the tag ${JOB_TAG}=${plan.jobId}`;
  await poll(waitFor(context, what, object, timeoutMs + timing.visibleMs), async () => {
    const allVisible = performance.now() >= context.visibleBy;
    const { ours, foreign, unseen } = await look(kind, plan.jobId, known, delivered);
    strangers = foreign;
    let isDone = allVisible;
    for (const resource of ours) isDone = (await isUndone(undo, resource)) && isDone;
    for (const id of known) {
      const isMissing = unseen.includes(id);
      const isGone = sightings.isGone(id, !isMissing);
      if (isMissing && !isGone && !removed.has(id)) isDone = false;
    }
    return isDone ? true : undefined;
  });
  if (strangers.length > 0) throw notOfTheJob(plan.jobId, strangers);
}

/**
 * Undoes one resource.
 * Returns false, for another attempt, when EC2 does not know a resource that it has just shown.
 */
async function isUndone<T>(undo: (resource: T) => Promise<boolean>, resource: T): Promise<boolean> {
  try {
    return await undo(resource);
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

interface Look<T> {
  /** Resources with the tag of the job. */
  ours: T[];
  /** Known ids of resources that lack the tag. */
  foreign: string[];
  /** Known ids of resources that EC2 does not show at the moment. */
  unseen: string[];
}

async function look<T extends { Tags?: Tag[] | undefined }>(
  { idOf, list, describe }: ResourceKind<T>,
  jobId: string,
  known: string[],
  delivered: ReadonlySet<string>,
): Promise<Look<T>> {
  const listed = (await list()).filter((resource) => !delivered.has(idOf(resource)));
  const ids = new Set(listed.map(idOf));
  const unlisted = known.filter((id) => !ids.has(id));
  const described = unlisted.length === 0 ? [] : await describe(unlisted);
  const isOurs = ({ Tags }: T) => tagOf(Tags, JOB_TAG) === jobId;
  const shown = new Set(described.map(idOf));
  return {
    ours: [...listed, ...described.filter(isOurs)],
    foreign: described.filter((resource) => !isOurs(resource)).map(idOf),
    unseen: unlisted.filter((id) => !shown.has(id)),
  };
}

function notOfTheJob(jobId: string, ids: string[]): BlockferryError {
  const named = ids.join(", ");
  return new BlockferryError({
    code: "NotOfTheJob",
    message: `The journal of ${jobId} names ${named}, which lacks the tag ${JOB_TAG}=${jobId}; it was left alone.`,
    remedy: `Find out who removed the tag or changed the journal. If ${named} belongs to the job, restore the tag, then run \`blockferry resume ${jobId}\`.`,
    object: named,
  });
}

/**
 * Decides whether a resource that EC2 does not show is gone.
 * Answers may miss new resources, and also resources that earlier answers showed.
 * AWS: "Ensure idempotency", "Eventual consistency in the Amazon EC2 API".
 */
export class Sightings {
  private readonly missingSince = new Map<string, number>();

  /** @param visibleMs time without a sighting after which a resource is gone */
  constructor(private readonly visibleMs: number) {}

  /**
   * Records whether the last answer contained a resource.
   * @returns whether the resource is gone
   */
  isGone(id: string, wasSeen: boolean): boolean {
    if (wasSeen) {
      this.missingSince.delete(id);
      return false;
    }
    const since = this.missingSince.get(id) ?? performance.now();
    this.missingSince.set(id, since);
    return performance.now() - since >= this.visibleMs;
  }
}

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
