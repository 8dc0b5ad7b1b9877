import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSubnetsCommand,
  type Instance,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { freeDeviceNames, freeSlots } from "../aws/attach.js";
import { awsCode, isNotFound } from "../aws/aws-errors.js";
import { findInstance } from "../aws/instances.js";
import type { Party } from "../aws/party.js";
import type { Plan } from "../plan/plan.js";
import type { RestoreRequest, WorkerRequest } from "../plan/request.js";

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
    message: `${volumes} volumes are to be attached, but worker ${instance?.InstanceId ?? instanceType} has room for ${room} more.`,
    remedy:
      "Use a worker of a type with more attachments, detach volumes that it no longer needs, or leave volumes out: --exclude-volume for a backup, --volume for a restore.",
    object: instance?.InstanceId ?? instanceType,
  });
}

/**
 * Returns how many more volumes an instance can take.
 * @param instance undefined for an instance that is not launched yet
 */
async function roomAt(party: Party, instanceType: string, instance: Instance | undefined): Promise<number> {
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
      "Start it, or check --worker, --worker-region and the credentials that --worker-role or --worker-aws-profile give.",
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
    message: `Instance ${attachTo}, to which the volumes are to be attached, is ${state}.`,
    remedy: "Name a running or stopped instance with --attach-to, or leave the option out.",
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
      "Detach volumes that it no longer needs, restore some of the volumes with --volume, or leave --attach-to out.",
    object: InstanceId,
  });
}

/** Replaces EC2's error about an unknown id with one that names the option for another id. */
export async function unlessGone<T>(
  look: () => Promise<T>,
  what: string,
  id: string,
  option: string,
): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const isUnknown = isNotFound(error) || /^Invalid(InstanceType|AMIID)/.test(awsCode(error));
    if (isUnknown) throw gone(what, id, option, error);
    throw error;
  }
}

export function gone(what: string, id: string, option: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "AwsResourceNotFound",
      message: `The ${what} ${id} does not exist, or not for this account and Region.`,
      remedy: `Name another one with ${option}.`,
      object: id,
    },
    cause,
  );
}
