import { DescribeSubnetsCommand, RegisterImageCommand } from "@aws-sdk/client-ec2";
import { zoneOf } from "./instances.js";
import type { Party } from "./party.js";

/** Registers an image for workers. @returns its id */
export async function registerWorkerImage(party: Party): Promise<string> {
  const command = new RegisterImageCommand({
    Name: "blockferry-worker",
    Architecture: "x86_64",
    RootDeviceName: "/dev/sda1",
  });
  const { ImageId = "" } = await party.ec2.send(command);
  return ImageId;
}

/** Returns the default subnet of the lab's Availability Zone. */
export async function defaultSubnet(party: Party): Promise<string> {
  const Filters = [{ Name: "availability-zone", Values: [zoneOf(party)] }];
  const { Subnets = [] } = await party.ec2.send(new DescribeSubnetsCommand({ Filters }));
  return Subnets[0]?.SubnetId ?? "";
}
