import type { RestorePlan } from "./plan.js";
import type { Made } from "./steps/step.js";

/** Ids of the volumes that a restore ends with, by name; across accounts those of the worker are not among them. */
export function restoredVolumeIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.volumes : made.targetVolumes) ?? {};
}

/** The same of the snapshots. */
export function restoredSnapshotIds({ route }: RestorePlan, made: Made): Record<string, string> {
  return (route === "same-account" ? made.snapshots : made.targetSnapshots) ?? {};
}
