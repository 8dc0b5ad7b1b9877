import type { JournalRecord } from "./journal-record.js";
import type { RestorePlan } from "./plan.js";
import type { Made } from "./steps/step.js";

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

/**
 * Returns the ids of resources that a restore has certainly handed over.
 * They belong to their owner even if EC2 still shows the old tags, so undoing leaves them alone.
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
