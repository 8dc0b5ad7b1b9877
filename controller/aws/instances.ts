import { DescribeInstancesCommand, type Filter, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { isNotFound } from "./aws-errors.js";
import type { ResourceKind } from "./job-resources.js";
import type { Party } from "./party.js";
import { Sightings } from "./sightings.js";
import { jobFilter, RESTORED_INSTANCE, ROLE_TAG, tagOf } from "./tags.js";

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
    const { Reservations = [] } = await party.ec2(new DescribeInstancesCommand({ Filters }), object);
    return Reservations.flatMap(({ Instances = [] }) => Instances);
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
      ? "Run it again: a backup stores only what is missing. On-Demand workers are not taken back."
      : "Find out who or what stopped it, then run it again: a backup stores only what is missing.",
    object: instanceId,
  });
}
