import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Instance } from "../../repository/instance.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import { awsCode, isNotFound } from "../aws/aws-errors.js";
import type { Party } from "../aws/party.js";
import type { RestoredVolume, RestorePlan } from "../plan.js";
import type { RestoreRequest } from "../request.js";
import type { Findings } from "./findings.js";
import { ownTags } from "./restored-volumes.js";

type Launch = NonNullable<RestorePlan["launch"]>;

/**
 * How an instance like the one that was backed up is launched, with what the user chose instead. Each thing that is not there
 * any more is a finding of its own.
 * @throws InstanceNotFound where the point has no instance, or not its root volume
 */
export async function restoredInstance(
  { launch: chosen }: RestoreRequest,
  point: RecoveryPoint,
  volumes: RestoredVolume[],
  party: Party,
  findings: Findings,
): Promise<Launch> {
  const { instance } = point;
  if (instance === undefined) throw noInstance(point);
  const root = volumes.find(({ attachName }) => attachName === instance.rootDeviceName);
  if (root === undefined) throw noRoot(point, instance);
  const imageId = chosen?.imageId ?? instance.imageId;
  const launch = {
    ...{ imageId, instanceType: chosen?.instanceType ?? instance.instanceType },
    subnetId: chosen?.subnetId ?? instance.subnetId,
    securityGroupIds: chosen?.securityGroupIds ?? instance.securityGroupIds,
    profile: unlessNone(chosen?.profile ?? instance.instanceProfileArn),
    keyName: unlessNone(chosen?.keyName ?? instance.keyName),
    ...{ rootVolume: root.name, tags: ownTags({ ...chosen?.tags, ...instance.tags, ...chosen?.tags }) },
  };
  await findings.attempt(() => checkType(party, launch.instanceType));
  await findings.attempt(() => checkGroups(party, launch.securityGroupIds));
  const leftOutDevices = await findings.attempt(() => dataDevicesOf(party, imageId));
  return { ...launch, leftOutDevices: leftOutDevices ?? [] };
}

/** A user may want none of what was recorded. */
function unlessNone(name: string | null): string | null {
  return name === "none" ? null : name;
}

/** The zone that a subnet puts an instance into; undefined where none is named. @throws AwsResourceNotFound */
export async function zoneOfSubnet(
  { launch, to }: RestoreRequest,
  { instance }: RecoveryPoint,
  party: Party,
): Promise<string | undefined> {
  const subnetId = launch?.subnetId ?? instance?.subnetId;
  if (to !== "instance" || subnetId === undefined || subnetId === null) return undefined;
  const look = () => party.ec2(new DescribeSubnetsCommand({ SubnetIds: [subnetId] }), subnetId);
  const { Subnets = [] } = await unlessGone(look, "subnet", subnetId, "--subnet");
  return Subnets[0]?.AvailabilityZone;
}

/** The zone of the instance that volumes are attached to. @throws InstanceNotFound */
export async function zoneOfInstance(
  { attachTo }: RestoreRequest,
  party: Party,
): Promise<string | undefined> {
  if (attachTo === null) return undefined;
  const look = () => party.ec2(new DescribeInstancesCommand({ InstanceIds: [attachTo] }), attachTo);
  const { Reservations = [] } = await unlessGone(look, "instance", attachTo, "--attach-to");
  const instance = Reservations[0]?.Instances?.[0];
  const state = instance?.State?.Name ?? "gone";
  if (state === "running" || state === "stopped") return instance?.Placement?.AvailabilityZone;
  throw new BlockferryError({
    code: "InstanceNotFound",
    message: `Instance ${attachTo}, which the volumes are to be attached to, is ${state}.`,
    remedy: "Name one that runs or is stopped with --attach-to, or leave that out.",
    object: attachTo,
  });
}

/** Volumes that the image would add besides its root. */
async function dataDevicesOf(party: Party, imageId: string): Promise<string[]> {
  const look = () => party.ec2(new DescribeImagesCommand({ ImageIds: [imageId] }), imageId);
  const { Images = [] } = await unlessGone(look, "image", imageId, "--ami");
  const [image] = Images;
  if (image === undefined) throw gone("image", imageId, "--ami");
  return (image.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) =>
    DeviceName !== undefined && Ebs !== undefined && DeviceName !== image.RootDeviceName ? DeviceName : [],
  );
}

async function checkType(party: Party, type: string): Promise<void> {
  const command = new DescribeInstanceTypesCommand({ InstanceTypes: [type as never] });
  await unlessGone(() => party.ec2(command, type), "instance type", type, "--instance-type");
}

async function checkGroups(party: Party, GroupIds: string[]): Promise<void> {
  if (GroupIds.length === 0) return;
  const look = () => party.ec2(new DescribeSecurityGroupsCommand({ GroupIds }), GroupIds.join(", "));
  await unlessGone(look, "security group", GroupIds.join(", "), "--security-group");
}

/** In place of what EC2 says of an id that it does not know: with which option another one is chosen. */
async function unlessGone<T>(look: () => Promise<T>, what: string, id: string, option: string): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const isUnknown = isNotFound(error) || /^Invalid(InstanceType|AMIID)/.test(awsCode(error));
    if (isUnknown) throw gone(what, id, option, error);
    throw error;
  }
}

function gone(what: string, id: string, option: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "AwsResourceNotFound",
      message: `The ${what} ${id} is not there, or not for this account and Region.`,
      remedy: `Name another one with ${option}.`,
      object: id,
    },
    cause,
  );
}

function noInstance({ id }: RecoveryPoint): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `Recovery point ${id} does not say which instance it is of: it was made of devices.`,
    remedy: "Restore --to volumes, and attach them to an instance of your own.",
    object: id,
  });
}

function noRoot({ id }: RecoveryPoint, { rootDeviceName }: Instance): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `The root volume (${rootDeviceName}) is not among what is restored of ${id}, and an instance cannot start without.`,
    remedy: "Name the root volume with --volume, too, or restore --to volumes.",
    object: id,
  });
}
