import {
  DescribeImagesCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Image,
  type InstanceTypeInfo,
} from "@aws-sdk/client-ec2";
import { usage } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/errors.js";
import type {
  Instance,
  Instance as RecordedInstance,
  RecoveryPoint,
  RecoveryPointVolume,
} from "../../repository/format/recovery-point.js";
import { isVolume } from "../../repository/points/find-point.js";
import { freeSlots } from "../aws/attach.js";
import type { Party } from "../aws/party.js";
import { GIB, type RestoredVolume, type RestorePlan } from "../plan/plan.js";
import type { RestoreRequest } from "../plan/request.js";
import type { PreflightFindings } from "./dry-runs.js";
import { gone, unlessGone } from "./worker.js";

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
  findings: PreflightFindings,
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
    `Image ${ImageId} (${Name}) of the recovery point is owned by account ${OwnerId}, not by ${party.accountId} or Amazon.`,
    `Give --ami original to launch it anyway, or name another image with --ami.`,
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
    message: `${volumes} volumes are to be attached to the instance, but type ${typeName} has room for ${slots}.`,
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
    message: `Recovery point ${id} does not name an instance: it was made from devices.`,
    remedy: "Restore --to volumes, and attach them to an existing instance.",
    object: id,
  });
}

function noRoot({ id }: RecoveryPoint, { rootDeviceName }: RecordedInstance): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `The root volume (${rootDeviceName}) is not among the volumes to restore from ${id}, and an instance cannot start without it.`,
    remedy: "Also name the root volume with --volume, or restore --to volumes.",
    object: id,
  });
}

/**
 * Volume types with configurable IOPS and throughput. EC2 API reference, CreateVolume: `Iops`, `Throughput`.
 */
const WITH_IOPS = ["gp3", "io1", "io2"];
const WITH_THROUGHPUT = ["gp3"];
/**
 * Maximum number of recorded tags on a resource.
 * A resource has at most 50 tags (AWS: "Tag restrictions"), and blockferry uses six for the job and the
 * origin.
 */
const MAX_OWN_TAGS = 44;
/** For volumes that were backed up as devices or files, without an instance. */
const DEFAULT_TYPE = "gp3";

/**
 * Returns the properties of volumes like the recorded ones.
 * @param names names of the wanted volumes, or their EBS ids; empty for all
 * @throws Usage when the point has no volume with one of the names
 */
export function restoredVolumes(point: RecoveryPoint, names: string[]): RestoredVolume[] {
  const known = point.volumes.map(({ name }) => name);
  const unknown = names.find((name) => !point.volumes.some((volume) => isVolume(volume, name)));
  if (unknown !== undefined) {
    throw new BlockferryError({
      code: "Usage",
      message: `--volume ${unknown} is not a volume of recovery point ${point.id}.`,
      remedy: `Its volumes are ${known.join(", ")}.`,
      object: point.id,
    });
  }
  const isWanted = (volume: RecoveryPointVolume) =>
    names.length === 0 || names.some((name) => isVolume(volume, name));
  return point.volumes.filter(isWanted).map(likeRecorded);
}

function likeRecorded({ name, sizeBytes, badRanges, ebs }: RecoveryPointVolume): RestoredVolume {
  const type = ebs?.type ?? DEFAULT_TYPE;
  return {
    ...{ name, type, sizeGib: Math.max(1, Math.ceil(sizeBytes / GIB)) },
    iops: WITH_IOPS.includes(type) ? (ebs?.iops ?? null) : null,
    throughput: WITH_THROUGHPUT.includes(type) ? (ebs?.throughput ?? null) : null,
    attachName: ebs?.attachName ?? null,
    deleteOnTermination: ebs?.deleteOnTermination ?? false,
    unreadableBytes: badRanges.reduce((sum, { length }) => sum + length, 0),
    tags: ownTags(ebs?.tags ?? {}),
  };
}

/**
 * Returns the recorded tags that can be set again.
 * Names that start with `aws:` are reserved, and names that start with `blockferry:` belong to another job.
 */
function ownTags(tags: Record<string, string>): Record<string, string> {
  const own = Object.entries(tags).filter(([key]) => !/^(aws|blockferry):/i.test(key));
  return Object.fromEntries(own.slice(0, MAX_OWN_TAGS));
}

/**
 * Checks that the restored root can boot with the image's settings on the instance type.
 * AWS: "Instance launch behavior with Amazon EC2 boot modes".
 * @throws Usage
 */
export function checkBoots(
  { architecture, bootMode }: Instance,
  image: Image | undefined,
  type: InstanceTypeInfo | undefined,
): void {
  const { ImageId = "", Architecture, BootMode } = image ?? {};
  if (Architecture !== undefined && Architecture !== architecture)
    throw wontBoot(architecture, `image ${ImageId} is for ${Architecture}`, "--ami");
  const architectures: string[] = type?.ProcessorInfo?.SupportedArchitectures ?? [];
  if (architectures.length > 0 && !architectures.includes(architecture))
    throw wontBoot(
      architecture,
      `type ${type?.InstanceType} is ${architectures.join(", ")}`,
      "--instance-type",
    );
  const isKnown = bootMode !== null && BootMode !== undefined && BootMode !== "uefi-preferred";
  if (isKnown && bootMode !== "uefi-preferred" && BootMode !== bootMode)
    throw wontBoot(bootMode, `image ${ImageId} boots by ${BootMode}`, "--ami");
}

function wontBoot(recorded: string, what: string, option: string): BlockferryError {
  return usage(
    `The instance that was backed up was ${recorded}, but ${what}: the restored root volume would not start.`,
    `Name another one with ${option}.`,
  );
}
