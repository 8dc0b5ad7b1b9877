import type { Instance, Volume } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import type { EbsVolume } from "../../repository/format/recovery-point.js";
import { findInstance } from "../aws/instances.js";
import { tagRecord } from "../aws/job-resources.js";
import type { Party } from "../aws/party.js";
import { poll, timing } from "../aws/poll.js";
import { describeVolumes } from "../aws/volumes.js";
import type { Plan } from "../plan/plan.js";
import type { BackupRequest } from "../plan/request.js";

const GIB = 1024 ** 3;

export interface SourceInstance {
  instance: Plan["instance"];
  /** The volumes to back up, with their names in the recovery point. */
  volumes: { name: string; origin: EbsVolume }[];
  /** Ids of excluded volumes without the root volume, which AWS refuses in a list of data volumes. */
  excludedDataVolumes: string[];
}

/**
 * Returns the facts about the instance and its volumes that a restore needs.
 * @throws InstanceNotFound, Usage
 */
export async function readSourceInstance(party: Party, request: BackupRequest): Promise<SourceInstance> {
  const found = await findInstance(party, request.instanceId);
  if (found === undefined) throw instanceNotFound(party, request.instanceId);
  const instance = describeInstance(party, found);
  const all = await readVolumes(party, found);
  refuseUnknownExclusions(request, all);
  const volumes = all
    .filter(({ volumeId }) => !request.excludedVolumes.includes(volumeId))
    .filter(({ attachName }) => request.root === "included" || attachName !== instance.rootDeviceName)
    .map((origin) => ({ name: nameOf(origin, instance.rootDeviceName), origin }));
  if (volumes.length === 0) throw nothingLeft(request.instanceId);
  const excludedDataVolumes = all
    .filter(({ attachName }) => attachName !== instance.rootDeviceName)
    .map(({ volumeId }) => volumeId)
    .filter((id) => request.excludedVolumes.includes(id));
  return { instance, volumes, excludedDataVolumes };
}

function nameOf({ attachName }: EbsVolume, rootDeviceName: string): string {
  return attachName === rootDeviceName ? "root" : attachName.replace("/dev/", "");
}

function describeInstance(party: Party, found: Instance): Plan["instance"] {
  return {
    instanceId: found.InstanceId ?? "",
    accountId: party.accountId,
    region: party.region,
    availabilityZone: found.Placement?.AvailabilityZone ?? "",
    instanceType: found.InstanceType ?? "",
    imageId: found.ImageId ?? "",
    subnetId: found.SubnetId ?? null,
    securityGroupIds: (found.SecurityGroups ?? []).flatMap(({ GroupId }) => GroupId ?? []),
    instanceProfileArn: found.IamInstanceProfile?.Arn ?? null,
    keyName: found.KeyName ?? null,
    architecture: found.Architecture ?? "",
    bootMode: found.BootMode ?? null,
    rootDeviceName: found.RootDeviceName ?? "",
    platform: found.PlatformDetails ?? found.Platform ?? null,
    tags: tagRecord(found.Tags),
  };
}

async function readVolumes(party: Party, found: Instance): Promise<EbsVolume[]> {
  const mappings = (found.BlockDeviceMappings ?? []).filter(({ Ebs }) => Ebs?.VolumeId !== undefined);
  const ids = mappings.map(({ Ebs }) => Ebs?.VolumeId ?? "");
  if (ids.length === 0) throw nothingLeft(found.InstanceId ?? "");
  const volumes = await describeAll(party, ids);
  return mappings.map(({ DeviceName = "", Ebs }, number) =>
    describeVolume(volumes[number] as Volume, DeviceName, Ebs?.DeleteOnTermination ?? false),
  );
}

/**
 * Describes the volumes of an instance, in the given order.
 * EC2 may not show a volume that was attached a moment ago, so this waits for all of them.
 * @throws WaitTimedOut
 */
function describeAll(party: Party, ids: string[]): Promise<Volume[]> {
  const object = ids.join(", ");
  const times = timing();
  const { signal = new AbortController().signal } = party;
  const wait = { what: `EC2 to show ${object}`, object, timeoutMs: times.visibleMs, timing: times, signal };
  return poll(wait, async () => {
    const filter = { Name: "volume-id", Values: ids };
    const volumes = await describeVolumes(party, filter, object);
    const found = ids.map((id) => volumes.find(({ VolumeId }) => VolumeId === id));
    return found.every((volume) => volume?.Size !== undefined) ? (found as Volume[]) : undefined;
  });
}

function describeVolume(volume: Volume, attachName: string, deleteOnTermination: boolean): EbsVolume {
  return {
    volumeId: volume.VolumeId ?? "",
    sizeBytes: (volume.Size as number) * GIB,
    type: volume.VolumeType ?? "",
    iops: volume.Iops ?? null,
    throughput: volume.Throughput ?? null,
    kmsKeyId: volume.Encrypted === true ? (volume.KmsKeyId ?? null) : null,
    encrypted: volume.Encrypted ?? false,
    attachName,
    deleteOnTermination,
    tags: tagRecord(volume.Tags),
  };
}

function refuseUnknownExclusions({ excludedVolumes, instanceId }: BackupRequest, volumes: EbsVolume[]): void {
  const unknown = excludedVolumes.find((id) => !volumes.some(({ volumeId }) => volumeId === id));
  if (unknown === undefined) return;
  const ids = volumes.map(({ volumeId, attachName }) => `${volumeId} (${attachName})`).join(", ");
  throw new BlockferryError({
    code: "Usage",
    message: `--exclude-volume ${unknown} is not a volume of ${instanceId}.`,
    remedy: `Its volumes are ${ids}.`,
    object: unknown,
  });
}

function instanceNotFound({ accountId, region }: Party, instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `Account ${accountId} has no instance ${instanceId} in ${region}.`,
    remedy: "Check the id, --source-region, and the credentials that --source-profile or --source-role give.",
    object: instanceId,
  });
}

function nothingLeft(instanceId: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `Instance ${instanceId} has no EBS volume to back up.`,
    remedy:
      "Exclude fewer volumes, or choose an instance that has EBS volumes; instance store cannot be snapshotted.",
    object: instanceId,
  });
}
