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
  const volumes = plan.volumes.map(({ name, unreadableBytes }) => ({
    ...{ name, volumeId: ids[name] ?? null, device: made.restoredDevices?.[name] ?? null, unreadableBytes },
  }));
  const lines = volumes.map(
    ({ name, volumeId, device, unreadableBytes }) =>
      `  ${name}: ${volumeId}${device === null ? "" : ` as ${device}`}${butFor(unreadableBytes)}`,
  );
  const { instanceId } = made;
  if (instanceId === undefined) return { json: { volumes }, lines };
  return { json: { volumes, instanceId }, lines: [`  instance ${instanceId}`, ...lines] };
}

function snapshotsOf(plan: RestorePlan, made: Made) {
  const ids = restoredSnapshotIds(plan, made);
  const snapshots = plan.volumes.map(({ name, unreadableBytes }) => ({
    ...{ name, snapshotId: ids[name] ?? null, unreadableBytes },
  }));
  const lines = snapshots.map(
    ({ name, snapshotId, unreadableBytes }) => `  ${name}: ${snapshotId}${butFor(unreadableBytes)}`,
  );
  return { json: { snapshots }, lines };
}

/** What the backup could not read is zeros. */
function butFor(unreadableBytes: number): string {
  return unreadableBytes === 0
    ? ""
    : ` (zeros in place of ${unreadableBytes} bytes that the backup could not read)`;
}
