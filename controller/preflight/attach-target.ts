import { DescribeInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Party } from "../aws/party.js";
import type { RestoreRequest } from "../request.js";
import { unlessGone } from "./unless-gone.js";
import { roomAt } from "./worker.js";

/**
 * Returns the instance to attach restored volumes to; null where none is given.
 * @throws InstanceNotFound
 */
export async function findAttachTo({ attachTo }: RestoreRequest, party: Party): Promise<Instance | null> {
  if (attachTo === null) return null;
  const look = () => party.ec2(new DescribeInstancesCommand({ InstanceIds: [attachTo] }), attachTo);
  const { Reservations = [] } = await unlessGone(look, "instance", attachTo, "--attach-to");
  const instance = Reservations[0]?.Instances?.[0];
  const state = instance?.State?.Name ?? "gone";
  if (instance !== undefined && (state === "running" || state === "stopped")) return instance;
  throw new BlockferryError({
    code: "InstanceNotFound",
    message: `Instance ${attachTo}, which the volumes are to be attached to, is ${state}.`,
    remedy: "Name one that runs or is stopped with --attach-to, or leave that out.",
    object: attachTo,
  });
}

/** @throws AttachFailed when the instance does not have room for all volumes */
export async function checkRoomAt(instance: Instance, volumes: number, party: Party): Promise<void> {
  const { InstanceId = "", InstanceType = "" } = instance;
  const room = await roomAt(party, InstanceType, instance);
  if (volumes <= room) return;
  throw new BlockferryError({
    code: "AttachFailed",
    message: `${volumes} volumes are to be attached to instance ${InstanceId}, which has room for ${room} more.`,
    remedy:
      "Detach what it no longer needs, restore some of the volumes with --volume, or leave --attach-to out.",
    object: InstanceId,
  });
}
