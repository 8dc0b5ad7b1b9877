import { CreateVolumeCommand, DeleteVolumeCommand } from "@aws-sdk/client-ec2";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { making, use, useKeys } from "../aws/action-use.js";
import { awsCode } from "../aws/aws-errors.js";
import { undoEach } from "../aws/job-resources.js";
import { keyNotUsable } from "../aws/key-failure.js";
import type { Party } from "../aws/party.js";
import { poll } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import { Sightings } from "../aws/sightings.js";
import { SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import { findJobVolumes, volumeKind } from "../aws/volumes.js";
import type { Plan, PlannedVolume } from "../plan.js";
import { ROUTE_TABLE, type Route } from "../route.js";
import { givenId, madeId } from "./made-id.js";
import { type Step, type StepContext, waitFor } from "./step.js";

/** Volumes of the snapshots in the worker's Availability Zone, always encrypted with the key of the plan. */
export const createVolumes: Step = {
  name: "create-volumes",
  title: "Making encrypted volumes of the snapshots",
  makes: "a volume for each snapshot, in the worker's account and Availability Zone",
  uses: ({ route }) => [
    ...use("worker", "ec2:CreateVolume", ownsSnapshots(route) ? "job-snapshot" : "shared-snapshot"),
    ...making("worker", "ec2:CreateVolume", "new-volume"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("worker", "shared-keys", "volume-key"),
  ],
  make: async (context) => {
    const { plan, worker, timing } = context;
    const volumes: Record<string, string> = {};
    const found = await findJobVolumes(worker, plan.jobId);
    for (const volume of plan.volumes) {
      const { volumeId } = volume.origin;
      const snapshotId = snapshotOf(context, volumeId);
      const wait = waitFor(context, `snapshot ${snapshotId} to be visible`, snapshotId, timing.visibleMs);
      const create = () => worker.ec2(command(plan, volume, snapshotId), snapshotId);
      // One that is made and not visible is what the same client token leads to.
      const { VolumeId } = found.get(volumeId) ?? (await untilVisible(wait, create));
      volumes[volumeId] = givenId(VolumeId, "of a volume");
    }
    return { volumes };
  },
  wait: async (context) => {
    const { plan, worker, made, timing } = context;
    const ids = Object.values(made.volumes ?? {});
    const sightings = new Sightings(timing.visibleMs);
    const wait = waitFor(context, "the volumes to be available", ids.join(", "), timing.resourceMs);
    await poll(wait, async () => {
      const volumes = [...(await findJobVolumes(worker, plan.jobId)).values()];
      for (const id of ids) {
        const volume = volumes.find(({ VolumeId }) => VolumeId === id);
        const isGone = sightings.isGone(id, volume !== undefined);
        if (isGone || volume?.State === "error")
          throw await volumeFailed(context, id, isGone ? "vanished" : "failed");
      }
      const usable = volumes.filter(
        ({ VolumeId = "", State = "" }) => ids.includes(VolumeId) && USABLE.includes(State),
      );
      context.progress(`${usable.length} of ${ids.length}`);
      return usable.length === ids.length ? true : undefined;
    });
    return {};
  },
  undo: async (context) => {
    const { plan, worker, made, timing } = context;
    const removed = new Set<string>();
    await undoEach(context, {
      kind: volumeKind(worker, plan.jobId),
      known: Object.values(made.volumes ?? {}),
      what: "the volumes to be deleted",
      timeoutMs: timing.resourceMs,
      removed,
      undo: async ({ VolumeId = "" }) => {
        if (!removed.has(VolumeId) && (await isDeleted(worker, VolumeId))) removed.add(VolumeId);
        return false;
      },
    });
  },
};

const USABLE = ["available", "in-use"];

/** @returns false while AWS refuses, as it does until a new volume is `available`: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html */
async function isDeleted(worker: Party, VolumeId: string): Promise<boolean> {
  try {
    await worker.ec2(new DeleteVolumeCommand({ VolumeId }), VolumeId);
    return true;
  } catch (error) {
    if (awsCode(error) === "IncorrectState") return false;
    throw error;
  }
}

/** Whether the worker's account makes volumes of its own snapshots, rather than of some that are shared with it. */
function ownsSnapshots(route: Route): boolean {
  const { shares, workerCopies } = ROUTE_TABLE[route];
  return !shares || workerCopies;
}

/** What a volume is made of: the nearest copy to the worker. */
function snapshotOf({ made }: StepContext, volumeId: string): string {
  return made.workerCopies?.[volumeId] ?? made.bridgeCopies?.[volumeId] ?? madeId(made.snapshots, volumeId);
}

function command(
  { jobId, request, availabilityZone, volumeKey }: Plan,
  { origin }: PlannedVolume,
  snapshotId: string,
) {
  const { volumeType, iops, throughputMibps, initializationRateMibps } = request;
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-${origin.volumeId}`,
    AvailabilityZone: availabilityZone,
    SnapshotId: snapshotId,
    VolumeType: volumeType as never,
    Encrypted: true,
    KmsKeyId: volumeKey,
    ...(iops === null ? {} : { Iops: iops }),
    ...(throughputMibps === null ? {} : { Throughput: throughputMibps }),
    ...(initializationRateMibps === null ? {} : { VolumeInitializationRate: initializationRateMibps }),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: origin.volumeId })],
  });
}

/** `CreateVolume` succeeds whatever the keys; the volume fails afterwards when EBS cannot use them. */
async function volumeFailed(
  context: StepContext,
  id: string,
  how: "vanished" | "failed",
): Promise<BlockferryError> {
  const { plan, worker, made } = context;
  const sourceVolume = Object.entries(made.volumes ?? {}).find(([, volume]) => volume === id)?.[0];
  const origin = plan.volumes.find((volume) => volume.origin.volumeId === sourceVolume)?.origin;
  const isCopied = (made.workerCopies ?? made.bridgeCopies)?.[sourceVolume ?? ""] !== undefined;
  const snapshotKey = isCopied ? plan.copyKey : origin?.kmsKeyId;
  const keys = new Set([...(typeof snapshotKey === "string" ? [snapshotKey] : []), plan.volumeKey]);
  return keyNotUsable(worker, `Volume ${id}, made of volume ${sourceVolume}, ${how}.`, id, [...keys]);
}
