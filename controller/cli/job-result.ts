import { formatBytes } from "../../command-line/format.js";
import type { Reliance } from "../../repository/jobs/job-result.js";
import type { JournalRecord } from "../journal-record.js";
import type { RestorePlan } from "../plan.js";
import { restoredSnapshotIds, restoredVolumeIds } from "../restored.js";
import type { Made } from "../steps/step.js";

/** Returns the output of a completed job: `json` for `--json`, `text` for people. */
export function jobResult({ job, plan, made, outcome }: JournalRecord): { json: object; text: string[] } {
  const point = outcome?.ok === true ? outcome.point : "";
  if (plan.kind === "backup") {
    const { reliance } = made;
    return {
      json: { point, job, route: plan.route, reliance: reliance ?? null },
      text: [`Recovery point ${point}`, ...(reliance === undefined ? [] : relianceLines(reliance))],
    };
  }
  const to = plan.request.to === "snapshot" ? snapshotsOf(plan, made) : volumesOf(plan, made);
  return {
    json: { point, job, route: plan.route, ...to.json },
    text: [`Restored recovery point ${point} to`, ...to.lines],
  };
}

function relianceLines({ unreadBytes, provenBytes, storedAgainBytes }: Reliance): string[] {
  const lines: [number, string][] = [
    [unreadBytes, "in packs that no verify of the worker has read: it relies on them"],
    [provenBytes, "of what it relies on read and proven"],
    [storedAgainBytes, "WRONG in the repository, stored again; run: blockferry-agent verify --read-data"],
  ];
  return lines.filter(([bytes]) => bytes > 0).map(([bytes, what]) => `  ${formatBytes(bytes)} ${what}`);
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

/** Returns a note about unreadable blocks, which the restore fills with zeros. */
function butFor(unreadableBytes: number): string {
  return unreadableBytes === 0
    ? ""
    : ` (zeros in place of ${unreadableBytes} bytes that the backup could not read)`;
}
