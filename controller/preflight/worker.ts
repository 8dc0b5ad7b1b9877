import {
  DescribeImagesCommand,
  DescribeInstanceTypesCommand,
  DescribeSubnetsCommand,
  type Instance,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { freeDeviceNames, freeSlots } from "../aws/devices.js";
import { findInstance } from "../aws/instances.js";
import type { Party } from "../aws/party.js";
import type { Plan } from "../plan.js";
import type { WorkerRequest } from "../request.js";

export interface WorkerPlace {
  availabilityZone: string;
  instanceType: string;
  /** Undefined for a worker that is not launched yet. */
  instance: Instance | undefined;
  /** Root device of the image, for a worker that is not launched yet. */
  root: Plan["workerRoot"];
}

/**
 * Returns the location of the worker.
 * @throws WorkerNotUsable
 */
export async function findWorkerPlace(party: Party, request: WorkerRequest): Promise<WorkerPlace> {
  if (request.kind === "launch") return findLaunchPlace(party, request);
  const { instanceId } = request;
  const instance = await findInstance(party, instanceId);
  if (instance === undefined) throw notUsable(party, instanceId, "does not exist");
  const state = instance.State?.Name;
  if (state !== "running") throw notUsable(party, instanceId, `is ${state}, not running`);
  return {
    availabilityZone: instance.Placement?.AvailabilityZone ?? "",
    instanceType: instance.InstanceType ?? "",
    instance,
    root: null,
  };
}

async function findLaunchPlace(
  party: Party,
  { subnetId, instanceType, imageId }: Extract<WorkerRequest, { kind: "launch" }>,
): Promise<WorkerPlace> {
  const { Subnets = [] } = await party.ec2(new DescribeSubnetsCommand({ SubnetIds: [subnetId] }), subnetId);
  const { Images = [] } = await party.ec2(new DescribeImagesCommand({ ImageIds: [imageId] }), imageId);
  const { RootDeviceName: deviceName, BlockDeviceMappings = [] } = Images[0] ?? {};
  if (deviceName === undefined) throw noSuchImage(party, imageId);
  const mapping = BlockDeviceMappings.find(({ DeviceName }) => DeviceName === deviceName);
  const root = { deviceName, sizeGib: mapping?.Ebs?.VolumeSize ?? null };
  const availabilityZone = Subnets[0]?.AvailabilityZone ?? "";
  return { availabilityZone, instanceType, instance: undefined, root };
}

/**
 * Checks that all volumes can be attached at once.
 * @throws WorkerNotUsable
 */
export async function checkRoomFor(volumes: number, party: Party, place: WorkerPlace): Promise<void> {
  const { instanceType, instance } = place;
  const room = await roomAt(party, instanceType, instance);
  if (volumes <= room) return;
  throw new BlockferryError({
    code: "WorkerNotUsable",
    message: `${volumes} volumes are to be attached, and worker ${instance?.InstanceId ?? instanceType} has room for ${room} more.`,
    remedy:
      "Take a worker of a type with more attachments, detach what it no longer needs, or leave volumes out: --exclude-volume of a backup, --volume of a restore.",
    object: instance?.InstanceId ?? instanceType,
  });
}

/**
 * Returns how many more volumes an instance can take.
 * @param instance undefined for an instance that is not launched yet
 */
export async function roomAt(
  party: Party,
  instanceType: string,
  instance: Instance | undefined,
): Promise<number> {
  const command = new DescribeInstanceTypesCommand({ InstanceTypes: [instanceType as never] });
  const { InstanceTypes = [] } = await party.ec2(command, instanceType);
  const names = freeDeviceNames(instance ?? {}).length;
  return Math.max(0, Math.min(freeSlots(instance, InstanceTypes[0]), names));
}

function notUsable({ accountId, region }: Party, instanceId: string, why: string): BlockferryError {
  return new BlockferryError({
    code: "WorkerNotUsable",
    message: `Worker ${instanceId} ${why} in account ${accountId}, ${region}.`,
    remedy:
      "Start it, or check --worker, --worker-region and whose credentials --worker-role or --worker-aws-profile give.",
    object: instanceId,
  });
}

function noSuchImage({ accountId, region }: Party, imageId: string): BlockferryError {
  return new BlockferryError({
    code: "WorkerNotUsable",
    message: `There is no image ${imageId} with an EBS root for account ${accountId} in ${region}.`,
    remedy: "Check --worker-ami, and that the image is shared with the worker's account.",
    object: imageId,
  });
}
