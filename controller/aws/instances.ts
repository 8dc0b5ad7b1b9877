import { DescribeInstancesCommand, type Filter, type Instance } from "@aws-sdk/client-ec2";
import { DescribeKeyCommand } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/errors.js";
import { EBS_KEY_ACTIONS } from "./action-use.js";
import { isNotFound } from "./aws-errors.js";
import {
  jobFilter,
  RESTORED_INSTANCE,
  type ResourceKind,
  ROLE_TAG,
  Sightings,
  tagOf,
} from "./job-resources.js";
import type { Party } from "./party.js";

/**
 * Returns an instance by its id.
 * @returns undefined when the account has no such instance
 */
export async function findInstance(party: Party, instanceId: string): Promise<Instance | undefined> {
  try {
    const command = new DescribeInstancesCommand({ InstanceIds: [instanceId] });
    const { Reservations = [] } = await party.ec2(command, instanceId);
    return Reservations.flatMap(({ Instances = [] }) => Instances)[0];
  } catch (error) {
    if (isNotFound(error) || (error as { cause?: Error }).cause?.name === "InvalidInstanceID.Malformed")
      return undefined;
    throw error;
  }
}

const ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"];

/** The instances that a job has launched; terminated instances are not listed. */
export function instanceKind(party: Party, jobId: string): ResourceKind<Instance> {
  const find = async (Filters: Filter[], object: string) => {
    const pages = await party.ec2Pages((page) => new DescribeInstancesCommand({ Filters, ...page }), object);
    const reservations = pages.flatMap(({ Reservations = [] }) => Reservations);
    return reservations.flatMap(({ Instances = [] }) => Instances);
  };
  const alive = { Name: "instance-state-name", Values: ALIVE };
  return {
    idOf: ({ InstanceId = "" }) => InstanceId,
    list: () => find([jobFilter(jobId), alive], `the instances of ${jobId}`),
    describe: (ids) => find([{ Name: "instance-id", Values: ids }], ids.join(", ")),
  };
}

/** The instance that a restore has launched, without its worker. */
export function restoredInstanceKind(party: Party, jobId: string): ResourceKind<Instance> {
  const kind = instanceKind(party, jobId);
  const isRestored = ({ Tags }: Instance) => tagOf(Tags, ROLE_TAG) === RESTORED_INSTANCE;
  return { ...kind, list: async () => (await kind.list()).filter(isRestored) };
}

/** Watches an instance that a job depends on. */
export class InstanceWatch {
  private readonly sightings: Sightings;

  constructor(
    private readonly party: Party,
    private readonly instanceId: string,
    visibleMs: number,
  ) {
    this.sightings = new Sightings(visibleMs);
  }

  /**
   * Returns the instance.
   * @returns undefined while EC2 does not show the instance, which may still exist
   * @throws WorkerLost when the instance is gone
   */
  async find(): Promise<Instance | undefined> {
    const instance = await findInstance(this.party, this.instanceId);
    if (this.sightings.isGone(this.instanceId, instance !== undefined))
      assertAlive(undefined, this.instanceId);
    return instance;
  }

  /**
   * Returns the instance if it can still run a job.
   * @returns undefined while EC2 does not show the instance, which may still exist
   * @throws WorkerLost when the instance is gone or has ended
   */
  async findAlive(): Promise<Instance | undefined> {
    const instance = await this.find();
    if (instance !== undefined) assertAlive(instance, this.instanceId);
    return instance;
  }
}

/**
 * Throws when the worker cannot run a job any more.
 * @throws WorkerLost, with EC2's reason
 */
export function assertAlive(instance: Instance | undefined, instanceId: string): void {
  const state = instance?.State?.Name ?? "gone";
  if (state === "running" || state === "pending") return;
  const { Code = "", Message = "" } = instance?.StateReason ?? {};
  const isSpotLoss = /spot/i.test(Code) || /spot/i.test(instance?.StateTransitionReason ?? "");
  const reason = Message === "" ? Code : Message;
  throw new BlockferryError({
    code: "WorkerLost",
    message: `Worker ${instanceId} is ${state}${isSpotLoss ? ": AWS took the Spot instance back" : ""}${reason === "" ? "" : ` (${reason})`}.`,
    remedy: isSpotLoss
      ? "Run it again: a backup stores only the missing data. On-Demand workers are not taken back."
      : "Find out who or what stopped it, then run it again: a backup stores only the missing data.",
    object: instanceId,
  });
}

/**
 * Returns the error for a resource that EBS could not create because of a key.
 * EBS uses keys long after its API call has succeeded, and the resource then fails or vanishes without a
 * reason. So this function finds the key, the role and the missing permission.
 * AWS: "CreateVolume", "Requirements for Amazon EBS encryption".
 * @param what sentence that describes the failure
 */
export async function keyNotUsable(
  party: Party,
  what: string,
  object: string,
  keys: string[],
): Promise<BlockferryError> {
  const findings = await Promise.all(keys.map((key) => findingOn(party, key)));
  const known = findings.filter((finding) => finding !== undefined);
  const suspects = known.length > 0 ? known : [`EBS could not use one of the keys ${keys.join(", ")}`];
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `${what} ${suspects.join("; ")}.`,
    remedy: `${howToAllow(party, keys)} The key must be enabled.`,
    object,
  });
}

/**
 * Returns the remedy: the policies that must let EBS use keys for a party.
 * These are the party's own policies, and the key policies of keys in other accounts.
 * AWS: "Allowing users in other accounts to use a KMS key"
 */
export function howToAllow(
  { name, accountId, principalArn }: Pick<Party, "name" | "accountId" | "principalArn">,
  keys: string[],
): string {
  const foreign = keys.filter((key) => ![undefined, accountId].includes(key.split(":")[4]));
  const own = `in the role's policy, as \`blockferry iam-policy --for ${name}\` prints it (kms:CreateGrant with kms:GrantIsForAWSResource)`;
  const others = `The key policy of ${foreign.join(" and of ")}, in another account, must also allow it: \`blockferry iam-policy --for key-policy\` prints the statements.`;
  return [
    `Allow ${principalArn} the actions ${EBS_KEY_ACTIONS.join(", ")} on ${keys.join(" and ")} ${own}.`,
    ...(foreign.length < keys.length
      ? [
          `The policy of a key in account ${accountId} must delegate this to the account's IAM policies, or allow the role itself.`,
        ]
      : []),
    ...(foreign.length > 0 ? [others] : []),
  ].join(" ");
}

/** Returns the visible problem of a key, or undefined when the key looks usable. */
async function findingOn(party: Party, key: string): Promise<string | undefined> {
  try {
    const { KeyMetadata } = await party.kms(new DescribeKeyCommand({ KeyId: key }), key);
    const state = KeyMetadata?.KeyState;
    return state === "Enabled" ? undefined : `Key ${key} is ${state}`;
  } catch (error) {
    if (!(error instanceof BlockferryError)) throw error;
    return `${party.principalArn} may not describe key ${key} (${error.message})`;
  }
}
