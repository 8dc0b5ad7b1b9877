import { DescribeSubnetsCommand, RegisterImageCommand } from "@aws-sdk/client-ec2";
import { zoneOf } from "./instances.js";
import type { Party } from "./party.js";

/** Makes an image to launch workers of. @returns its id */
export async function registerWorkerImage(party: Party): Promise<string> {
  const command = new RegisterImageCommand({
    Name: "blockferry-worker",
    Architecture: "x86_64",
    RootDeviceName: "/dev/sda1",
  });
  const { ImageId = "" } = await party.ec2.send(command);
  return ImageId;
}

/** The default subnet of the zone that everything is in. */
export async function defaultSubnet(party: Party): Promise<string> {
  const Filters = [{ Name: "availability-zone", Values: [zoneOf(party)] }];
  const { Subnets = [] } = await party.ec2.send(new DescribeSubnetsCommand({ Filters }));
  return Subnets[0]?.SubnetId ?? "";
}
