import type { Tag } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { isNotFound } from "./aws-errors.js";
import { type JobContext, poll, waitFor } from "./poll.js";
import { Sightings } from "./sightings.js";
import { JOB_TAG, tagOf } from "./tags.js";

/** A kind of resource that jobs create, in one account and Region. */
export interface ResourceKind<T extends { Tags?: Tag[] | undefined }> {
  idOf(resource: T): string;
  /** Returns the resources with the tag of the job. */
  list(): Promise<T[]>;
  /** Returns the resources with these ids that EC2 shows, regardless of their tags. */
  describe(ids: string[]): Promise<T[]>;
}

/** How to undo one kind of resource. */
export interface Undoing<T extends { Tags?: Tag[] | undefined }> {
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
  const object = known.length > 0 ? known.join(", ") : `what is tagged ${JOB_TAG}=${plan.jobId}`;
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
    remedy: `Find out whether somebody removed the tag or changed the journal. If ${named} is of the job, put the tag back, and run \`blockferry resume ${jobId}\`.`,
    object: named,
  });
}
