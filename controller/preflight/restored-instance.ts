import {
  DescribeImagesCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Image,
  type InstanceTypeInfo,
} from "@aws-sdk/client-ec2";
import { usage } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Instance as RecordedInstance } from "../../repository/instance.js";
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

/** The option value for the value that the recovery point records. */
const ORIGINAL = "original";

/**
 * Returns the launch of an instance like the backed-up one, with the user's options.
 * Every recorded resource that no longer exists is a finding of its own.
 * @throws InstanceNotFound when the point has no instance, or its root volume is not restored
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
  const isRecordedImage = (chosen?.imageId ?? ORIGINAL) === ORIGINAL;
  const imageId = isRecordedImage ? instance.imageId : (chosen?.imageId ?? "");
  const launch = {
    ...{ imageId, instanceType: chosen?.instanceType ?? instance.instanceType },
    subnetId: chosen?.subnetId ?? instance.subnetId,
    securityGroupIds: (chosen?.securityGroupIds ?? []).flatMap((id) =>
      id === ORIGINAL ? instance.securityGroupIds : id,
    ),
    profile: asAsked(chosen?.profile ?? null, instance.instanceProfileArn),
    keyName: asAsked(chosen?.keyName ?? null, instance.keyName),
    ...{ rootVolume: root.name, tags: ownTags({ ...chosen?.tags, ...instance.tags, ...chosen?.tags }) },
  };
  const type = await findings.attempt(() => findType(party, launch.instanceType));
  await findings.attempt(() => checkGroups(party, launch.securityGroupIds));
  const image = await findings.attempt(() => findImage(party, imageId));
  if (image !== undefined && chosen?.imageId == null)
    await findings.attempt(async () => refuseForeign(image, party));
  findings.notes.push(...leftOutNotes(chosen, instance));
  await findings.attempt(async () => checkBoots(instance, image, type));
  await findings.attempt(async () => checkSlots(volumes.length, launch.instanceType, type));
  return {
    ...launch,
    ...(image === undefined ? {} : { image: { name: image.Name ?? "", owner: ownerOf(image) } }),
    leftOutDevices: image === undefined ? [] : dataDevicesOf(image),
  };
}

function ownerOf({ OwnerId = "an unknown account", ImageOwnerAlias }: Image): string {
  return ImageOwnerAlias === undefined ? OwnerId : `${OwnerId} (${ImageOwnerAlias})`;
}

function asAsked(asked: string | null, recorded: string | null): string | null {
  if (asked === ORIGINAL) return recorded;
  return asked === "none" ? null : asked;
}

/**
 * Refuses the recorded image unless this account or Amazon owns it.
 * The writer of the point chose the image, which runs briefly with the permissions of the instance. The
 * account in the point is also only a claim.
 * @throws Usage
 */
function refuseForeign(
  { ImageId = "", OwnerId = "", ImageOwnerAlias, Name = "" }: Image,
  party: Party,
): void {
  if (OwnerId === party.accountId || ImageOwnerAlias === "amazon") return;
  throw usage(
    `Image ${ImageId} (${Name}) of the recovery point is owned by account ${OwnerId}, and neither by ${party.accountId} nor by Amazon.`,
    `Give --ami original to launch it all the same, or another image with --ami.`,
  );
}

/**
 * Returns notes about properties that only the original has.
 * Each note names the option that adds the property.
 */
function leftOutNotes(chosen: RestoreRequest["launch"], recorded: RecordedInstance): string[] {
  const { instanceProfileArn, keyName, securityGroupIds } = recorded;
  const note = (what: string, option: string) =>
    `the original had ${what}, which the restored instance does not get; give --${option} original to launch with it`;
  return [
    ...(chosen?.profile == null && instanceProfileArn !== null
      ? [note(`instance profile ${instanceProfileArn}`, "instance-profile")]
      : []),
    ...(chosen?.keyName == null && keyName !== null ? [note(`key pair ${keyName}`, "key-name")] : []),
    ...(chosen?.securityGroupIds == null && securityGroupIds.length > 0
      ? [note(`security groups ${securityGroupIds.join(", ")}`, "security-group")]
      : []),
  ];
}

/**
 * Returns the zone of the instance's subnet; undefined where no subnet is given.
 * @throws AwsResourceNotFound
 */
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

/** Returns the device names of the image's volumes other than its root. */
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

/** @throws AttachFailed when the instance type cannot take all volumes */
function checkSlots(volumes: number, typeName: string, type: InstanceTypeInfo | undefined): void {
  // `freeSlots` counts the root of a new instance, which here is one of the volumes.
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

function noRoot({ id }: RecoveryPoint, { rootDeviceName }: RecordedInstance): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `The root volume (${rootDeviceName}) is not among what is restored of ${id}, and an instance cannot start without.`,
    remedy: "Name the root volume with --volume, too, or restore --to volumes.",
    object: id,
  });
}
