import type { JournalRecord } from "../journal-record.js";
import type { RestorePlan } from "../plan.js";
import { restoredSnapshotIds, restoredVolumeIds } from "../restored.js";
import type { Made } from "../steps/step.js";

/** What a command prints that has done a job: `json` for `--json`, `text` for people. */
export function jobResult({ job, plan, made, outcome }: JournalRecord): { json: object; text: string } {
  const point = outcome?.ok === true ? outcome.point : "";
  if (plan.kind === "backup") {
    return { json: { point, job, route: plan.route }, text: `Recovery point ${point}` };
  }
  const to = plan.request.to === "snapshot" ? snapshotsOf(plan, made) : volumesOf(plan, made);
  return {
    json: { point, job, route: plan.route, ...to.json },
    text: [`Restored recovery point ${point} to`, ...to.lines].join("\n"),
  };
}

function volumesOf(plan: RestorePlan, made: Made) {
  const ids = restoredVolumeIds(plan, made);
  const volumes = plan.volumes.map(({ name }) => ({ name, volumeId: ids[name] ?? null }));
  const lines = volumes.map(({ name, volumeId }) => `  ${name}: ${volumeId}`);
  const { instanceId } = made;
  if (instanceId === undefined) return { json: { volumes }, lines };
  return { json: { volumes, instanceId }, lines: [`  instance ${instanceId}`, ...lines] };
}

function snapshotsOf(plan: RestorePlan, made: Made) {
  const ids = restoredSnapshotIds(plan, made);
  const snapshots = plan.volumes.map(({ name }) => ({ name, snapshotId: ids[name] ?? null }));
  return { json: { snapshots }, lines: snapshots.map(({ name, snapshotId }) => `  ${name}: ${snapshotId}`) };
}
