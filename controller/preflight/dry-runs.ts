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
 * Asks EC2 whether calls would be allowed, without making them. What is about things that the job makes first (copying and
 * sharing snapshots, attaching volumes, deleting) is not tried: for ids that do not exist EC2 answers NotFound whatever the
 * policies say, and for things of others the policies refuse what they allow for the job's.
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

/** GiB of the smallest and the largest volume: each type of volume has a least size and a most, and IOPS that go with it. */
function extremeSizes({ volumes }: Plan): Set<number> {
  const sizes = volumes.map(({ origin }) => Math.ceil(origin.sizeBytes / GIB));
  return new Set([Math.min(...sizes), Math.max(...sizes)]);
}

/**
 * Without a snapshot, as there is none yet, and so without an initialization rate, which goes with one alone.
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

/** What the steps look for things with, once for each party. */
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
