import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "../aws/aws-errors.js";
import { tagged } from "../aws/tags.js";
import type { Parties } from "../parties.js";
import type { Plan } from "../plan.js";
import { createSnapshotsCommand } from "../steps/create-snapshots.js";
import { runInstances } from "../steps/launch-worker.js";
import type { Findings } from "./findings.js";

/**
 * Asks EC2 whether calls would be allowed, without making them. Only a refusal for want of permission counts: what else EC2
 * objects to, such as a snapshot that is not there yet, is no wonder before anything is made.
 */
export async function tryCalls(plan: Plan, { source, worker }: Parties, findings: Findings): Promise<void> {
  const { jobId, instance, availabilityZone, volumeKey } = plan;
  const snapshots = createSnapshotsCommand(plan, true);
  const volume = new CreateVolumeCommand({
    DryRun: true,
    AvailabilityZone: availabilityZone,
    Size: 1,
    Encrypted: true,
    KmsKeyId: volumeKey,
    TagSpecifications: [tagged("volume", jobId)],
  });
  await findings.attempt(() => unlessDenied(() => source.ec2(snapshots, instance.instanceId)));
  await findings.attempt(() => unlessDenied(() => worker.ec2(volume, `volumes in ${availabilityZone}`)));
  if (plan.request.workerInstance.kind === "launch") {
    await findings.attempt(() => unlessDenied(() => worker.ec2(runInstances(plan, true), "the worker")));
  }
}

async function unlessDenied(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    const isDenied = error instanceof BlockferryError && error.code === "AwsAccessDenied";
    if (isDenied && awsCode(error) !== "DryRunOperation") throw error;
  }
}
