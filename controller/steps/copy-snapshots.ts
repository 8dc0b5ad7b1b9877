import { CopySnapshotCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { awsCode } from "../aws/aws-errors.js";
import { pause, poll } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import {
  awaitSnapshots,
  listSnapshots,
  removeSnapshots,
  type SnapshotPlace,
  sourceVolumeOf,
} from "../aws/snapshots.js";
import { ROLE_TAG, SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import type { Plan, PlannedVolume } from "../plan.js";
import { isBridged, ROUTE_TABLE } from "../route.js";
import { givenId, madeId } from "./made-id.js";
import { type Step, type StepContext, waitFor } from "./step.js";

/** The source's account copies what cannot be shared under a key that can, or into the worker's Region. */
export const bridgeSnapshots: Step<Plan> = {
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
    const bridgeCopies = made.bridgeCopies ?? (await copyAll(context, bridgePlace(context), volumes));
    return { bridgeCopies };
  },
  wait: async (context) => {
    await awaitCopies(context, bridgePlace(context), context.made.bridgeCopies ?? {});
    return {};
  },
  undo: (context) => removeSnapshots(context, bridgePlace(context), context.made.bridgeCopies),
};

/** The worker's account copies the shared snapshots into its own Region. */
export const copyShared: Step<Plan> = {
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
    const workerCopies = made.workerCopies ?? (await copyAll(context, copyPlace(context), plan.volumes));
    return { workerCopies };
  },
  wait: async (context) => {
    await awaitCopies(context, copyPlace(context), context.made.workerCopies ?? {});
    return {};
  },
  undo: (context) => removeSnapshots(context, copyPlace(context), context.made.workerCopies),
};

function bridgePlace({ source, plan }: StepContext<Plan>): SnapshotPlace {
  return { party: source, region: plan.worker.region, role: "bridge-copy" };
}

function copyPlace({ worker, plan }: StepContext<Plan>): SnapshotPlace {
  return { party: worker, region: plan.worker.region, role: "worker-copy" };
}

async function copyAll(
  context: StepContext<Plan>,
  place: SnapshotPlace,
  volumes: PlannedVolume[],
): Promise<Record<string, string>> {
  const copies = await findCopies(context, place);
  for (const [index, { origin }] of volumes.entries()) {
    const { volumeId } = origin;
    context.progress(`${index} of ${volumes.length} begun`);
    const original = madeId(context.made.snapshots, volumeId);
    copies[volumeId] ??= await copy(context, place, volumeId, original);
  }
  return copies;
}

/** Ids of the copies that a run which has died has made; a second copy would cost what the first did. */
async function findCopies(
  { plan, visibleBy, signal }: StepContext<Plan>,
  place: SnapshotPlace,
): Promise<Record<string, string>> {
  await pause(Math.max(0, visibleBy - performance.now()), signal);
  const found = await listSnapshots(place, plan.jobId);
  return Object.fromEntries(found.map((one) => [sourceVolumeOf(one), givenId(one.SnapshotId, "of a copy")]));
}

/**
 * An account has 20 copies under way at once into a Region (AWS: "Amazon EBS quotas"): others are waited for, those of other jobs,
 * too. @returns the id of the copy
 */
async function copy(
  context: StepContext<Plan>,
  place: SnapshotPlace,
  volumeId: string,
  SourceSnapshotId: string,
): Promise<string> {
  const { plan, timing } = context;
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
  const object = SourceSnapshotId;
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
  return givenId(SnapshotId, `of the copy of ${SourceSnapshotId}`);
}

function awaitCopies(
  context: StepContext<Plan>,
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
