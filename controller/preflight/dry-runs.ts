import {
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
} from "@aws-sdk/client-ec2";
import type { ActionUse } from "../aws/action-use.js";
import type { Party } from "../aws/party.js";
import { tagged } from "../aws/tags.js";
import type { Parties } from "../parties.js";
import type { Plan } from "../plan.js";
import { createSnapshotsCommand } from "../steps/create-snapshots.js";
import { runInstances } from "../steps/launch-worker.js";
import { stepsOf } from "../workflow.js";
import { heedAnswer } from "./dry-run-answer.js";
import type { Findings } from "./findings.js";

const GIB = 1024 ** 3;

/**
 * Asks EC2 whether calls would be allowed, without making them.
 * Calls on resources that the job first creates are not tried: copying and sharing snapshots, attaching
 * volumes, deleting. For ids that do not exist EC2 returns NotFound regardless of the policies. For existing
 * resources of other owners the policies deny calls that they allow for the job's resources.
 */
export async function tryCalls(plan: Plan, { source, worker }: Parties, findings: Findings): Promise<void> {
  const { instance, availabilityZone, request } = plan;
  const snapshots = createSnapshotsCommand(plan, true);
  await heedAnswer(findings, () => source.ec2(snapshots, instance.instanceId));
  for (const sizeGib of extremeSizes(plan)) {
    const volumes = `volumes of ${sizeGib} GiB in ${availabilityZone}`;
    await heedAnswer(findings, () => worker.ec2(createVolume(plan, sizeGib), volumes));
  }
  if (request.workerInstance.kind === "launch") {
    await heedAnswer(findings, () => worker.ec2(runInstances(plan, true), "the worker"));
  }
  for (const { party, action } of listings(plan)) {
    await heedAnswer(findings, async () => LISTINGS[action]?.({ source, worker }[party]));
  }
}

/**
 * Returns the sizes of the smallest and the largest volume, in GiB.
 * Every volume type has a minimum and a maximum size, and IOPS limits that depend on the size.
 */
function extremeSizes({ volumes }: Plan): Set<number> {
  const sizes = volumes.map(({ origin }) => Math.ceil(origin.sizeBytes / GIB));
  return new Set([Math.min(...sizes), Math.max(...sizes)]);
}

/**
 * Returns the dry run of a volume without a snapshot.
 * No snapshot exists yet, and without a snapshot no initialization rate may be given.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
 */
function createVolume(
  { jobId, availabilityZone, volumeKey, request }: Plan,
  sizeGib: number,
): CreateVolumeCommand {
  const { volumeType, iops, throughputMibps } = request;
  return new CreateVolumeCommand({
    DryRun: true,
    AvailabilityZone: availabilityZone,
    Size: sizeGib,
    VolumeType: volumeType as never,
    ...(iops === null ? {} : { Iops: iops }),
    ...(throughputMibps === null ? {} : { Throughput: throughputMibps }),
    Encrypted: true,
    KmsKeyId: volumeKey,
    TagSpecifications: [tagged("volume", jobId)],
  });
}

/** Returns the Describe actions of the steps, each once for each party. */
function listings(plan: Plan): ActionUse[] {
  const uses = stepsOf(plan).flatMap((step) => step.uses(plan));
  const listing = uses.filter(({ action, on }) => on === "any" && action in LISTINGS);
  return [...new Map(listing.map((one) => [`${one.party} ${one.action}`, one])).values()];
}

const DRY = { DryRun: true };
const LISTINGS: Record<string, (caller: Party) => Promise<unknown>> = {
  "ec2:DescribeSnapshots": (caller) => caller.ec2(new DescribeSnapshotsCommand(DRY), "snapshots"),
  "ec2:DescribeVolumes": (caller) => caller.ec2(new DescribeVolumesCommand(DRY), "volumes"),
  "ec2:DescribeInstances": (caller) => caller.ec2(new DescribeInstancesCommand(DRY), "instances"),
};
