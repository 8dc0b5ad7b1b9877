import {
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
} from "@aws-sdk/client-ec2";
import { BlockferryError, type ErrorCode, NOT_CONNECTED } from "../../foundation/errors.js";
import type { ActionUse } from "../aws/action-use.js";
import { awsCode } from "../aws/aws-errors.js";
import { tagged } from "../aws/job-resources.js";
import type { Party } from "../aws/party.js";
import type { Parties } from "../plan/parties.js";
import type { Plan, RestorePlan } from "../plan/plan.js";
import { stepsOf } from "../run/workflow.js";
import { createSnapshotsCommand } from "../steps/create-snapshots.js";
import { runRestoredInstance } from "../steps/launch-restored.js";
import { runInstances, runInstances as runWorker } from "../steps/launch-worker.js";

const GIB = 1024 ** 3;

/**
 * Asks EC2 whether calls would be allowed, without making them.
 * Calls on resources that the job first creates are not tried: copying and sharing snapshots, attaching
 * volumes, deleting. For ids that do not exist EC2 returns NotFound regardless of the policies. For existing
 * resources of other owners the policies deny calls that they allow for the job's resources.
 */
export async function tryCalls(
  plan: Plan,
  { source, worker }: Parties,
  findings: PreflightFindings,
): Promise<void> {
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

/**
 * Makes a call with `DryRun`, and records EC2's objection as a problem or a note.
 * AWS: "Error codes for the Amazon EC2 API".
 */
export async function heedAnswer(findings: PreflightFindings, call: () => Promise<unknown>): Promise<void> {
  await findings.attempt(async () => {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof BlockferryError)) throw error;
      const code = awsCode(error);
      if (code === WOULD_SUCCEED) return;
      if (!SAYS_SO_ITSELF.includes(error.code) && !isLasting(code)) {
        findings.notes.push(`A dry run leaves open whether the call would succeed: ${error.message}`);
        return;
      }
      throw error;
    }
  });
}

/** "If you have the required permissions, the error response is DryRunOperation." */
const WOULD_SUCCEED = "DryRunOperation";

/** Errors that would also fail the backup, independent of this call. */
const SAYS_SO_ITSELF: readonly ErrorCode[] = [
  "AwsAccessDenied",
  "AwsUnavailable",
  "CredentialsInvalid",
  ...NOT_CONNECTED,
];

/** Returns whether EC2 will raise the same objection during the backup. */
function isLasting(code: string): boolean {
  return !PASSING.test(code) && LASTING.some((kind) => kind.test(code));
}

const LASTING = [
  // The request has contradictory or unknown values, so it would fail again. All ids in it belong to existing
  // resources, so a missing one stays missing.
  /^(InvalidParameter\w*|MissingParameter|UnknownParameter|ValidationError|UnknownVolumeType|Unknown\w*Type)$/,
  /^Invalid(Subnet|SubnetID|Group|GroupId|SecurityGroup\w*|AMIID|AMIName|BlockDeviceMapping|Zone|AvailabilityZone)(\.|$)/,
  /^Invalid(InstanceID|InstanceType|Volume|VolumeID|VolumeType|KmsKey\w*|KMSKey\w*|NetworkInterface\w*|Tag\w*)(\.|$)/,
  // The Region, zone or type does not support the request.
  /^Unsupported\w*$/,
  // The account is not permitted.
  /^(OptInRequired|PendingVerification|Blocked|OperationNotPermitted)$/,
  // A full quota must be raised or freed; waiting does not help.
  /LimitExceeded$/,
];

/**
 * Objections that may be gone by the time of the backup, or that the backup waits for.
 * They concern states, capacity, free addresses and the number of concurrent copies.
 */
const PASSING = /^(Incorrect\w*State|Insufficient\w*|ConcurrentSnapshotLimitExceeded)$/;

/**
 * Asks EC2 whether calls would be allowed, without making them.
 * All resources in these calls exist already. So every objection of EC2 counts: it would come again after the
 * hours of filling the volumes.
 */
export async function tryRestoreCalls(
  plan: RestorePlan,
  { source, worker }: Parties,
  findings: PreflightFindings,
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
    await ask(() => orOtherwise(() => source.ec2(runRestoredInstance(plan, true), "the instance")));
}

/** Replaces the remedy of a refused launch with the options that change it. */
async function orOtherwise(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    const isRefusal = error instanceof BlockferryError && REFUSALS.has(error.code);
    if (!isRefusal || awsCode(error) === "DryRunOperation") throw error;
    const remedy =
      "Change the value that AWS names above: --ami, --instance-type, --subnet, --security-group, --instance-profile or --key-name (the last two may be none).";
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

/** Collects every problem, not only the first. */
export class PreflightFindings {
  problems: BlockferryError[] = [];
  readonly notes: string[] = [];

  /** @returns the result of `look`, or undefined when it failed with a problem */
  async attempt<T>(look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof BlockferryError)) throw error;
      this.problems.push(error);
      return undefined;
    }
  }

  /** Adds a problem that replaces its consequences: calls about the same object that AWS denied. */
  explain(problem: BlockferryError): void {
    const isConsequence = ({ code, object, cause }: BlockferryError) =>
      code === problem.code && object === problem.object && cause !== undefined;
    this.problems = [...this.problems.filter((other) => !isConsequence(other)), problem];
  }

  /** @throws the single problem, or PreflightFailed with all of them */
  throwIfAny(): void {
    const [first, ...more] = this.problems;
    if (first === undefined) return;
    if (more.length === 0) throw first;
    throw new BlockferryError({
      code: "PreflightFailed",
      message: `The preflight found ${this.problems.length} problems; nothing was created.`,
      details: this.problems.flatMap(({ code, message, remedy }) => [`- ${code}: ${message}`, `  ${remedy}`]),
      remedy: "Fix them, then run it again.",
      object: first.object,
    });
  }
}
