import type { Tag } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type StepContext, waitFor } from "../steps/step.js";
import { isNotFound } from "./aws-errors.js";
import { poll } from "./poll.js";
import { Sightings } from "./sightings.js";
import { JOB_TAG, tagOf } from "./tags.js";

/** A kind of resource that jobs make, in one account and Region. */
export interface ResourceKind<T extends { Tags?: Tag[] | undefined }> {
  idOf(resource: T): string;
  /** Those with the tag of the job. */
  list(): Promise<T[]>;
  /** Those of these ids that EC2 shows, whatever their tags. */
  describe(ids: string[]): Promise<T[]>;
}

/** How what a job has made of one kind is undone. */
export interface Undoing<T extends { Tags?: Tag[] | undefined }> {
  kind: ResourceKind<T>;
  /** Ids that the journal has. */
  known: string[];
  /** What is awaited, as "the volumes to be deleted". */
  what: string;
  timeoutMs: number;
  /** Goes on with undoing one that is there. @returns whether nothing is left to be done, or to be waited for */
  undo(resource: T): Promise<boolean>;
  /** Ids that are expected to be seen no more. */
  removed?: ReadonlySet<string>;
}

/**
 * Undoes what a job has made: all that carries its tag, listed or known by its id, but for what was handed over. It looks again
 * until what was made is visible for certain, and takes nothing as gone that has only not been seen for a moment.
 * @throws NotOfTheJob for ids in the journal that lack the tag, when all else is undone; WaitTimedOut
 */
export async function undoEach<T extends { Tags?: Tag[] | undefined }>(
  context: StepContext,
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

/** What EC2 does not know although it has just shown it is looked for again. */
async function isUndone<T>(undo: (resource: T) => Promise<boolean>, resource: T): Promise<boolean> {
  try {
    return await undo(resource);
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

interface Look<T> {
  /** With the tag of the job. */
  ours: T[];
  /** Ids that are known and lack the tag. */
  foreign: string[];
  /** Ids that are known and that EC2 does not show now. */
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
