import * as z from "zod/mini";
import type { JobSigner } from "../../repository/jobs/job-signature.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { ActionUse } from "../aws/action-use.js";
import type { Party } from "../aws/party.js";
import type { Wait } from "../aws/poll.js";
import type { JobPlan } from "../plan.js";
import type { Timing } from "../timing.js";

/** Ids by what the volume that they belong to goes by: see `volumeNamesOf`. */
const bySourceVolume = z.record(z.string(), z.string());

/** What the steps of a run have made so far. Kept in the journal; the tags in AWS tell the same. */
export const MadeSchema = z.strictObject({
  snapshots: z.optional(bySourceVolume),
  snapshotTime: z.optional(z.iso.datetime()),
  /** Copies by the source's account, under the bridge key or in the worker's Region. */
  bridgeCopies: z.optional(bySourceVolume),
  /** Copies by the worker's account, in the worker's Region. */
  workerCopies: z.optional(bySourceVolume),
  /** Of a restore across accounts: what the account gets that it ends up in. */
  targetVolumes: z.optional(bySourceVolume),
  targetSnapshots: z.optional(bySourceVolume),
  /** Device names of what is restored, at the instance that it is attached to. */
  restoredDevices: z.optional(bySourceVolume),
  /** The instance that is restored. */
  instanceId: z.optional(z.string()),
  workerId: z.optional(z.string()),
  volumes: z.optional(bySourceVolume),
  /** Device names, as `/dev/sdf`. */
  attachments: z.optional(bySourceVolume),
  /** Id of the recovery point. */
  point: z.optional(z.string()),
});

export type Made = z.infer<typeof MadeSchema>;

export interface StepContext<P extends JobPlan = JobPlan> {
  plan: P;
  /** What this and earlier steps have made. */
  made: Made;
  source: Party;
  worker: Party;
  signer: JobSigner;
  storage: Storage;
  timing: Timing;
  signal: AbortSignal;
  /**
   * When all that the step has made so far is visible at last, on the clock of `performance.now()`: until then, what EC2 does
   * not show may be there all the same.
   */
  visibleBy: number;
  /** Ids of what a restore has handed over: undoing leaves it alone. */
  delivered: ReadonlySet<string>;
  /** Shows how far the step is. */
  progress(text: string): void;
}

/** A row of the workflow. Each of its parts can be repeated: it looks first for what is there, by the job's tag. */
export interface Step<P extends JobPlan = JobPlan> {
  name: string;
  /** What a user reads while it runs. */
  title: string;
  /** What it makes, for tables. */
  makes: string;
  /** Whether a plan needs the step; steps without are always needed. */
  when?(plan: P): boolean;
  /** Every action it takes: it is held to them, and the policies are made of them. */
  uses(plan: P): ActionUse[];
  /** Makes what is missing. @returns what it adds to `made` */
  make(context: StepContext<P>): Promise<Made>;
  /** Waits until what was made can be used. */
  wait(context: StepContext<P>): Promise<Made>;
  /** Removes what it made, and waits until that is gone. */
  undo(context: StepContext<P>): Promise<void>;
  /** No earlier step is undone while this one cannot be. */
  mustUndoFirst?: true;
  /** Id of the recovery point, if the job proves to have done what it was to do, after the step is undone. */
  findPoint?(context: StepContext<P>): Promise<string | undefined>;
}

export function waitFor(context: StepContext, what: string, object: string, timeoutMs: number): Wait {
  return { what, object, timeoutMs, timing: context.timing, signal: context.signal };
}
