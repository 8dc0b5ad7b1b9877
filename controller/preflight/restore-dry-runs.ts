import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "../aws/aws-errors.js";
import { tagged } from "../aws/tags.js";
import type { Parties } from "../parties.js";
import type { RestorePlan } from "../plan.js";
import { runInstances } from "../steps/launch-restored.js";
import { runInstances as runWorker } from "../steps/launch-worker.js";
import type { Findings } from "./findings.js";

/**
 * Asks EC2 whether calls would be allowed, without making them.
 * All resources in these calls exist already. So every objection of EC2 counts: it would come again after the
 * hours of filling the volumes.
 */
export async function tryRestoreCalls(
  plan: RestorePlan,
  { source, worker }: Parties,
  findings: Findings,
): Promise<void> {
  const { jobId, availabilityZone, volumeKey } = plan;
  const volume = new CreateVolumeCommand({
    ...{ DryRun: true, AvailabilityZone: availabilityZone, Size: 1, Encrypted: true, KmsKeyId: volumeKey },
    TagSpecifications: [tagged("volume", jobId)],
  });
  const ask = (call: () => Promise<unknown>) => findings.attempt(() => unlessRefused(call));
  await ask(() => worker.ec2(volume, `volumes in ${availabilityZone}`));
  if (plan.request.workerInstance.kind === "launch")
    await ask(() => worker.ec2(runWorker(plan, true), "the worker"));
  if (plan.launch !== null)
    await ask(() => orOtherwise(() => source.ec2(runInstances(plan, true), "the instance")));
}

/** Replaces the remedy of a refused launch with the options that change it. */
async function orOtherwise(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    const isRefusal = error instanceof BlockferryError && REFUSALS.has(error.code);
    if (!isRefusal || awsCode(error) === "DryRunOperation") throw error;
    const remedy =
      "Choose what AWS names above otherwise: --ami, --instance-type, --subnet, --security-group, --instance-profile or --key-name (the last two may be none).";
    throw new BlockferryError({ ...error.toRecord(), remedy }, error);
  }
}

const REFUSALS: ReadonlySet<string> = new Set(["AwsResourceNotFound", "AwsRefused", "AwsOutOfCapacity"]);

async function unlessRefused(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof BlockferryError) || awsCode(error) !== "DryRunOperation") throw error;
  }
}
