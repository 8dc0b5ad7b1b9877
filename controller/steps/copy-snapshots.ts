import { making, use, useKeys } from "../aws/action-use.js";
import {
  awaitSnapshots,
  copySnapshot,
  findMade,
  removeSnapshots,
  type SnapshotPlace,
} from "../aws/snapshots.js";
import type { Plan, PlannedVolume, RestorePlan } from "../plan/plan.js";
import { isBridged, ROUTE_TABLE } from "../plan/route.js";
import { madeId, type Step, type StepContext } from "./step.js";

/** Copies snapshots in the source's account: under a key that can be shared, or into the worker's Region. */
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

/** Copies the shared snapshots into the worker's Region, in the worker's account. */
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
  const { plan } = context;
  const what = { sourceRegion: plan.source.region, key: plan.copyKey };
  const copies = await findMade(context, place);
  for (const [index, { origin }] of volumes.entries()) {
    const { volumeId } = origin;
    context.progress(`${index} of ${volumes.length} started`);
    const original = madeId(context.made.snapshots, volumeId);
    copies[volumeId] ??= await copySnapshot(context, place, {
      ...what,
      volume: volumeId,
      snapshotId: original,
    });
  }
  return copies;
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

/** Copies the shared snapshots in the target account, which then owns them under its own key. */
export const copyFilled: Step<RestorePlan> = {
  name: "copy-filled-snapshots",
  title: "Copying the snapshots to the target account",
  makes: "copies of the shared snapshots, in the target account",
  uses: () => [
    ...use("source", "ec2:CopySnapshot", "shared-snapshot"),
    ...making("source", "ec2:CopySnapshot", "new-snapshot"),
    ...use("source", "ec2:DescribeSnapshots", "any"),
    ...use("source", "ec2:DeleteSnapshot", "job-snapshot"),
    ...useKeys("source", "shared-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, made } = context;
    const copies = made.targetSnapshots ?? (await findMade(context, filledCopyPlace(context)));
    for (const { name: volume } of plan.volumes) {
      const snapshotId = madeId(made.snapshots, volume);
      const what = { volume, snapshotId, sourceRegion: plan.worker.region, key: plan.targetKey };
      copies[volume] ??= await copySnapshot(context, filledCopyPlace(context), what);
    }
    return { targetSnapshots: copies };
  },
  wait: async (context) => {
    const { plan, made } = context;
    const keys = [plan.volumeKey, ...(plan.targetKey === null ? [] : [plan.targetKey])];
    await awaitSnapshots(context, filledCopyPlace(context), Object.values(made.targetSnapshots ?? {}), keys);
    return {};
  },
  undo: (context) => removeSnapshots(context, filledCopyPlace(context), context.made.targetSnapshots),
};

function filledCopyPlace({ source, plan }: StepContext<RestorePlan>): SnapshotPlace {
  return { party: source, region: plan.source.region, role: "restored-copy" };
}
