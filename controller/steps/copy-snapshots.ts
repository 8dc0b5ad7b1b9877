import { CopySnapshotCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { untilVisible } from "../aws/retry.js";
import {
  awaitSnapshots,
  findSnapshots,
  removeSnapshots,
  type SnapshotPlace,
  snapshotIds,
} from "../aws/snapshots.js";
import { ROLE_TAG, SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import type { PlannedVolume } from "../plan.js";
import { isBridged, ROUTE_TABLE } from "../route.js";
import { type Step, type StepContext, waitFor } from "./step.js";

/** The source's account copies what cannot be shared under a key that can, or into the worker's Region. */
export const bridgeSnapshots: Step = {
  name: "bridge-snapshots",
  title: "Copying snapshots under the bridge key",
  makes: "copies of the snapshots in the instance's account, in the worker's Region",
  when: (plan) => plan.volumes.some((volume) => isBridged(plan.route, volume.key)),
  uses: () => [
    ...use("source", "ec2:CopySnapshot", "job-snapshot"),
    ...making("source", "ec2:CopySnapshot", "new-snapshot"),
    ...use("source", "ec2:DescribeSnapshots", "any"),
    ...use("source", "ec2:DeleteSnapshot", "job-snapshot"),
    ...useKeys("source", "source-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, made } = context;
    const volumes = plan.volumes.filter((volume) => isBridged(plan.route, volume.key));
    return { bridgeCopies: await copyAll(context, bridgePlace(context), volumes, made.snapshots ?? {}) };
  },
  wait: async (context) => {
    await awaitCopies(context, bridgePlace(context), context.made.bridgeCopies ?? {});
    return {};
  },
  undo: (context) => removeSnapshots(context, bridgePlace(context), context.made.bridgeCopies),
};

/** The worker's account copies the shared snapshots into its own Region. */
export const copyShared: Step = {
  name: "copy-shared-snapshots",
  title: "Copying the shared snapshots to the worker's Region",
  makes: "copies of the snapshots in the worker's account and Region",
  when: (plan) => ROUTE_TABLE[plan.route].workerCopies,
  uses: () => [
    ...use("worker", "ec2:CopySnapshot", "shared-snapshot"),
    ...making("worker", "ec2:CopySnapshot", "new-snapshot"),
    ...use("worker", "ec2:DescribeSnapshots", "any"),
    ...use("worker", "ec2:DeleteSnapshot", "job-snapshot"),
    ...useKeys("worker", "shared-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, made } = context;
    return { workerCopies: await copyAll(context, copyPlace(context), plan.volumes, made.snapshots ?? {}) };
  },
  wait: async (context) => {
    await awaitCopies(context, copyPlace(context), context.made.workerCopies ?? {});
    return {};
  },
  undo: (context) => removeSnapshots(context, copyPlace(context), context.made.workerCopies),
};

function bridgePlace({ source, plan }: StepContext): SnapshotPlace {
  return { party: source, region: plan.worker.region, role: "bridge-copy" };
}

function copyPlace({ worker, plan }: StepContext): SnapshotPlace {
  return { party: worker, region: plan.worker.region, role: "worker-copy" };
}

async function copyAll(
  context: StepContext,
  place: SnapshotPlace,
  volumes: PlannedVolume[],
  originals: Record<string, string>,
): Promise<Record<string, string>> {
  const { plan, timing } = context;
  const copies = snapshotIds(await findSnapshots(place, plan.jobId));
  for (const { origin } of volumes) {
    const { volumeId } = origin;
    if (copies[volumeId] !== undefined) continue;
    const SourceSnapshotId = originals[volumeId] ?? "";
    const command = new CopySnapshotCommand({
      SourceRegion: plan.source.region,
      SourceSnapshotId,
      Encrypted: true,
      ...(plan.copyKey === null ? {} : { KmsKeyId: plan.copyKey }),
      Description: `blockferry ${plan.jobId}: copy of ${SourceSnapshotId}`,
      TagSpecifications: [
        tagged("snapshot", plan.jobId, { [ROLE_TAG]: place.role, [SOURCE_VOLUME_TAG]: volumeId }),
      ],
    });
    const wait = waitFor(
      context,
      `snapshot ${SourceSnapshotId} to be visible`,
      SourceSnapshotId,
      timing.visibleMs,
    );
    const { SnapshotId = "" } = await untilVisible(wait, () =>
      place.party.ec2(command, SourceSnapshotId, place.region),
    );
    copies[volumeId] = SnapshotId;
  }
  return copies;
}

function awaitCopies(
  context: StepContext,
  place: SnapshotPlace,
  copies: Record<string, string>,
): Promise<unknown> {
  const { plan } = context;
  const sourceKeys = plan.volumes.flatMap(({ origin }) =>
    origin.kmsKeyId === null ? [] : [origin.kmsKeyId],
  );
  const keys = new Set([...sourceKeys, ...(plan.copyKey === null ? [] : [plan.copyKey])]);
  return awaitSnapshots(context, place, Object.values(copies), [...keys]);
}
