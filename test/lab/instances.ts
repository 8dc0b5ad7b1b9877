import assert from "node:assert/strict";
import {
  DescribeInstancesCommand,
  type Instance,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from "@aws-sdk/client-ec2";
import { waitUntil } from "../support/wait-until.js";
import type { Party } from "./party.js";

/** Returns the Availability Zone that the lab uses in a Region. */
export function zoneOf({ region }: Party): string {
  return `${region}a`;
}

/** Launches an instance, and waits until it runs. */
export async function launch(
  party: Party,
  input: Omit<RunInstancesCommandInput, "MinCount" | "MaxCount" | "Placement">,
): Promise<Instance> {
  const { Instances = [] } = await party.ec2.send(
    new RunInstancesCommand({
      InstanceType: "m5.large",
      Placement: { AvailabilityZone: zoneOf(party) },
      ...input,
      MinCount: 1,
      MaxCount: 1,
    }),
  );
  const id = Instances[0]?.InstanceId;
  assert.ok(id !== undefined);
  let instance: Instance | undefined;
  await waitUntil(`instance ${id} to run`, async () => {
    instance = await describeInstance(party, id);
    return instance?.State?.Name === "running";
  });
  return instance as unknown as Instance;
}

export async function describeInstance(party: Party, id: string): Promise<Instance | undefined> {
  const { Reservations = [] } = await party.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations[0]?.Instances?.[0];
}
