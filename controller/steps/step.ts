import * as z from "zod/mini";
import { RelianceSchema } from "../../repository/jobs/job-replies.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { ActionUse } from "../aws/action-use.js";
import { givenId } from "../aws/aws-errors.js";
import type { Party } from "../aws/party.js";
import type { JobContext } from "../aws/poll.js";
import type { JobPlan, RestorePlan } from "../plan/plan.js";
import type { Signing } from "../plan/signing.js";

/** Ids by the name of their volume: see `volumeNamesOf`. */
const bySourceVolume = z.record(z.string(), z.string());

/** Ids of the resources that the steps of a run have created. Kept in the journal; the tags in AWS match. */
export const MadeSchema = z.strictObject({
  snapshots: z.optional(bySourceVolume),
  snapshotTime: z.optional(z.iso.datetime()),
  /** Copies made by the source's account, under the bridge key or in the worker's Region. */
  bridgeCopies: z.optional(bySourceVolume),
  /** Copies made by the worker's account, in the worker's Region. */
  workerCopies: z.optional(bySourceVolume),
  /** Volumes that a restore across accounts creates in the target account. */
  targetVolumes: z.optional(bySourceVolume),
  targetSnapshots: z.optional(bySourceVolume),
  /** Device names of the restored volumes on the instance that they are attached to. */
  restoredDevices: z.optional(bySourceVolume),
  /** Id of the restored instance. */
  instanceId: z.optional(z.string()),
  workerId: z.optional(z.string()),
  volumes: z.optional(bySourceVolume),
  /** Device names, for example `/dev/sdf`. */
  attachments: z.optional(bySourceVolume),
  /** Id of the recovery point. */
  point: z.optional(z.string()),
  /** The objects that the recovery point of a backup relies on. */
  reliance: z.optional(RelianceSchema),
});

export type Made = z.infer<typeof MadeSchema>;

export interface StepContext<P extends JobPlan = JobPlan> extends JobContext {
  plan: P;
  /** Ids of the resources that this and earlier steps have created. */
  made: Made;
  source: Party;
  worker: Party;
  signing: Signing;
  storage: Storage;
}

/**
 * A row of the workflow. Each part can be repeated: it first looks for existing resources by the job's tag.
 */
export interface Step<P extends JobPlan = JobPlan> {
  name: string;
  /** Shown to the user while the step runs. */
  title: string;
  /** The resources that the step creates, in words, for tables. */
  makes: string;
  /** Returns whether a plan needs the step; a step without `when` is always needed. */
  when?(plan: P): boolean;
  /**
   * Every AWS action of the step. The step is limited to these actions, and the IAM policies are built from
   * them.
   */
  uses(plan: P): ActionUse[];
  /**
   * Creates the missing resources.
   * @returns the ids to add to `made`
   */
  make(context: StepContext<P>): Promise<Made>;
  /** Waits until the created resources can be used. */
  wait(context: StepContext<P>): Promise<Made>;
  /** Removes the created resources, and waits until they are gone. */
  undo(context: StepContext<P>): Promise<void>;
  /** Set when no earlier step may be undone before this one. */
  mustUndoFirst?: true;
  /** Returns the id of the recovery point if the job turns out to be complete, after the step is undone. */
  findPoint?(context: StepContext<P>): Promise<string | undefined>;
}

/**
 * Returns the id that a step recorded for a volume.
 * @throws Error when the id is missing; a completed step always records one, and no step may continue without
 * it
 */
export function madeId(ids: Record<string, string> | undefined, volumeId: string): string {
  return givenId(ids?.[volumeId], `of the resource for ${volumeId}`);
}

/** Name of the step that hands the restored resources to their owner. */
export const DELIVERY = "deliver";

/**
 * Returns the ids of the restored volumes, by name.
 * Across accounts the volumes that the worker filled are not among them.
 */
export function restoredVolumeIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.volumes : made.targetVolumes) ?? {};
}

/** Returns the ids of the restored snapshots, by volume name. */
export function restoredSnapshotIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.snapshots : made.targetSnapshots) ?? {};
}

/** Returns the ids of the restored snapshots or volumes, whichever the restore delivers. */
export function restoredIds(plan: RestorePlan, made: Made): Record<string, string> {
  return plan.request.to === "snapshot" ? restoredSnapshotIds(plan, made) : restoredVolumeIds(plan, made);
}
