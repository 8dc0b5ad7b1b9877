import type { JournalRecord } from "./journal-record.js";
import type { RestorePlan } from "./plan.js";
import type { Made } from "./steps/step.js";

/** Name of the step that makes what was restored its owner's. */
export const DELIVERY = "deliver";

/** Ids of the volumes that a restore ends with, by name; across accounts those of the worker are not among them. */
export function restoredVolumeIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.volumes : made.targetVolumes) ?? {};
}

/** The same of the snapshots. */
export function restoredSnapshotIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.snapshots : made.targetSnapshots) ?? {};
}

/** Those of the two that a restore is to end with. */
export function restoredIds(plan: RestorePlan, made: Made): Record<string, string> {
  return plan.request.to === "snapshot" ? restoredSnapshotIds(plan, made) : restoredVolumeIds(plan, made);
}

/**
 * Ids of what a restore has handed over for certain. It is its owner's, whatever EC2 shows of its tags at the moment: undoing the
 * rest leaves it alone.
 */
export function deliveredIds({ plan, made, steps, outcome }: JournalRecord): ReadonlySet<string> {
  if (plan.kind !== "restore") return new Set();
  const isDone = steps.some(({ name, state }) => name === DELIVERY && state === "done");
  if (!isDone && outcome?.ok !== true) return new Set();
  return new Set([
    ...Object.values(restoredIds(plan, made)),
    ...(made.instanceId === undefined ? [] : [made.instanceId]),
  ]);
}
