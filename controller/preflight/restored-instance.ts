import {
  DescribeImagesCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Image,
  type InstanceTypeInfo,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Instance } from "../../repository/instance.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import { freeSlots } from "../aws/devices.js";
import type { Party } from "../aws/party.js";
import type { RestoredVolume, RestorePlan } from "../plan.js";
import type { RestoreRequest } from "../request.js";
import { checkBoots } from "./boots.js";
import type { Findings } from "./findings.js";
import { ownTags } from "./restored-volumes.js";
import { gone, unlessGone } from "./unless-gone.js";

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
  const type = await findings.attempt(() => findType(party, launch.instanceType));
  await findings.attempt(() => checkGroups(party, launch.securityGroupIds));
  const image = await findings.attempt(() => findImage(party, imageId));
  await findings.attempt(async () => checkBoots(instance, image, type));
  await findings.attempt(async () => checkSlots(volumes.length, launch.instanceType, type));
  return { ...launch, leftOutDevices: image === undefined ? [] : dataDevicesOf(image) };
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

async function findImage(party: Party, imageId: string): Promise<Image> {
  const look = () => party.ec2(new DescribeImagesCommand({ ImageIds: [imageId] }), imageId);
  const { Images: [image] = [] } = await unlessGone(look, "image", imageId, "--ami");
  if (image === undefined) throw gone("image", imageId, "--ami");
  return image;
}

/** Volumes that the image would add besides its root. */
function dataDevicesOf({ BlockDeviceMappings = [], RootDeviceName }: Image): string[] {
  return BlockDeviceMappings.flatMap(({ DeviceName, Ebs }) =>
    DeviceName !== undefined && Ebs !== undefined && DeviceName !== RootDeviceName ? DeviceName : [],
  );
}

async function findType(party: Party, type: string): Promise<InstanceTypeInfo | undefined> {
  const command = new DescribeInstanceTypesCommand({ InstanceTypes: [type as never] });
  const look = () => party.ec2(command, type);
  const { InstanceTypes = [] } = await unlessGone(look, "instance type", type, "--instance-type");
  return InstanceTypes[0];
}

/** @throws AttachFailed when the instance cannot take all volumes */
function checkSlots(volumes: number, typeName: string, type: InstanceTypeInfo | undefined): void {
  // Its root is one of them, which a new instance is counted with.
  const slots = freeSlots(undefined, type) + 1;
  if (type === undefined || volumes <= slots) return;
  throw new BlockferryError({
    code: "AttachFailed",
    message: `${volumes} volumes are to be attached to the instance, and type ${typeName} has room for ${slots}.`,
    remedy: "Choose a type with more attachments with --instance-type, or some of the volumes with --volume.",
    object: typeName,
  });
}

async function checkGroups(party: Party, GroupIds: string[]): Promise<void> {
  if (GroupIds.length === 0) return;
  const look = () => party.ec2(new DescribeSecurityGroupsCommand({ GroupIds }), GroupIds.join(", "));
  await unlessGone(look, "security group", GroupIds.join(", "), "--security-group");
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
