import { DescribeInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { isNotFound } from "./aws-errors.js";
import type { Party } from "./party.js";
import { jobFilter } from "./tags.js";

/** @returns undefined when the account has no such instance */
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

/** Instances that a job has launched and that are not terminated. */
export async function findLaunched(party: Party, jobId: string): Promise<Instance[]> {
  const command = new DescribeInstancesCommand({
    Filters: [jobFilter(jobId), { Name: "instance-state-name", Values: ALIVE }],
  });
  const { Reservations = [] } = await party.ec2(command, `the instances of ${jobId}`);
  return Reservations.flatMap(({ Instances = [] }) => Instances);
}

/** @throws WorkerLost when the worker cannot run a job any more, with what EC2 says about why */
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
      ? "Run the backup again: it stores only what is missing. On-Demand workers are not taken back."
      : "Find out who or what stopped it, then run the backup again: it stores only what is missing.",
    object: instanceId,
  });
}
