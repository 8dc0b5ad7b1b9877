import { CopySnapshotCommand } from "@aws-sdk/client-ec2";
import { givenId } from "../steps/made-id.js";
import { awsCode } from "./aws-errors.js";
import { type JobContext, pause, poll, waitFor } from "./poll.js";
import { untilVisible } from "./retry.js";
import { listSnapshots, type SnapshotPlace, sourceVolumeOf } from "./snapshots.js";
import { ROLE_TAG, SOURCE_VOLUME_TAG, tagged } from "./tags.js";

/**
 * Returns ids of the snapshots that an earlier run created in a role, by volume name.
 * They are used again, because a second copy would cost as much as the first.
 */
export async function findMade(
  { plan, visibleBy, signal }: JobContext,
  place: SnapshotPlace,
): Promise<Record<string, string>> {
  await pause(Math.max(0, visibleBy - performance.now()), signal);
  const found = await listSnapshots(place, plan.jobId);
  return Object.fromEntries(
    found.map((one) => [sourceVolumeOf(one), givenId(one.SnapshotId, "of a snapshot")]),
  );
}

interface Copied {
  /** Name of the copied volume: see `volumeNamesOf`. */
  volume: string;
  snapshotId: string;
  sourceRegion: string;
  /** ARN; null for the default EBS key. */
  key: string | null;
}

/**
 * Copies a snapshot, and waits while the account runs too many copies.
 * An account can run 20 copies at once into a Region (AWS: "Amazon EBS quotas"), including the copies of
 * other jobs.
 * @returns id of the copy
 */
export async function copySnapshot(
  context: JobContext,
  place: SnapshotPlace,
  { volume, snapshotId: object, sourceRegion, key }: Copied,
): Promise<string> {
  const { plan, timing } = context;
  const command = new CopySnapshotCommand({
    SourceRegion: sourceRegion,
    SourceSnapshotId: object,
    Encrypted: true,
    ...(key === null ? {} : { KmsKeyId: key }),
    Description: `blockferry ${plan.jobId}: copy of ${object}`,
    TagSpecifications: [
      tagged("snapshot", plan.jobId, { [ROLE_TAG]: place.role, [SOURCE_VOLUME_TAG]: volume }),
    ],
  });
  const visible = waitFor(context, `snapshot ${object} to be visible`, object, timing.visibleMs);
  const room = waitFor(context, "other snapshot copies to be completed", object, timing.snapshotMs);
  const { SnapshotId } = await poll(room, async () => {
    try {
      return await untilVisible(visible, () => place.party.ec2(command, object, place.region));
    } catch (error) {
      if (awsCode(error) === "ResourceLimitExceeded") return undefined;
      throw error;
    }
  });
  return givenId(SnapshotId, `of the copy of ${object}`);
}
