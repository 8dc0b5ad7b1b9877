import assert from "node:assert/strict";
import type { LabRequest } from "../lab-control.js";
import { type Question, question } from "./iam-request.js";

/**
 * Returns IAM's questions for a call of EC2, one for each resource:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
 */
export function ec2Questions(call: LabRequest): Question[] {
  const ask = BY_ACTION[call.action];
  if (ask !== undefined) return ask(call);
  assert.match(call.action, /^(Describe|Get)/, `${call.action} is not known here`);
  return [question(call, "*")];
}

const BY_ACTION: Record<string, (call: LabRequest) => Question[]> = {
  CreateSnapshots: (call) => {
    const instance = parameter(call, "InstanceSpecification.InstanceId");
    const volumes = call.named[instance]?.attached ?? [];
    return [
      ...existing(call, instance),
      ...volumes.flatMap((id) => existing(call, id)),
      ...made(call, "snapshot"),
    ];
  },
  CopySnapshot: (call) => [...existing(call, parameter(call, "SourceSnapshotId")), ...made(call, "snapshot")],
  CreateSnapshot: (call) => [...existing(call, parameter(call, "VolumeId")), ...made(call, "snapshot")],
  CreateTags: (call) => tagged(call),
  DeleteTags: (call) => tagged(call),
  ModifyInstanceAttribute: (call) => existing(call, parameter(call, "InstanceId")),
  StartInstances: (call) => existing(call, parameter(call, "InstanceId.1")),
  StopInstances: (call) => existing(call, parameter(call, "InstanceId.1")),
  ModifySnapshotAttribute: (call) => existing(call, parameter(call, "SnapshotId"), sharing(call)),
  DescribeSnapshotAttribute: (call) => existing(call, parameter(call, "SnapshotId")),
  DeleteSnapshot: (call) => existing(call, parameter(call, "SnapshotId")),
  CreateVolume: (call) => [
    ...existing(call, parameter(call, "SnapshotId")),
    ...made(call, "volume", { "ec2:Encrypted": parameter(call, "Encrypted") }),
  ],
  DeleteVolume: (call) => existing(call, parameter(call, "VolumeId")),
  AttachVolume: (call) => [
    ...existing(call, parameter(call, "VolumeId")),
    ...existing(call, parameter(call, "InstanceId")),
  ],
  DetachVolume: (call) => {
    const volume = parameter(call, "VolumeId");
    const instances = call.named[volume]?.attached ?? [];
    return [...existing(call, volume), ...instances.flatMap((id) => existing(call, id))];
  },
  RunInstances: (call) => [
    question(call, `arn:aws:ec2:${call.region}::image/${parameter(call, "ImageId")}`),
    question(call, arn(call, `subnet/${subnetOf(call)}`)),
    // The default group of the VPC, because the call does not name a group.
    question(call, arn(call, "security-group/sg-00000000000000001")),
    question(call, arn(call, "network-interface/eni-00000000000000001"), interfaceContext(call)),
    // The root volume of a worker has no tags; the root volume of a restored instance has some.
    ...made(call, "volume", rootContext(call), 2),
    ...made(call, "instance", launchContext(call)),
    ...passedRoles(call),
  ],
  TerminateInstances: (call) => existing(call, parameter(call, "InstanceId.1")),
};

function parameter({ parameters }: LabRequest, name: string): string {
  return String(parameters[name] ?? "");
}

/** Returns the subnet: in the network interface for a worker, in the call itself for a restored instance. */
function subnetOf(call: LabRequest): string {
  return parameter(call, "NetworkInterface.1.SubnetId") || parameter(call, "SubnetId");
}

/** Questions about existing resources whose tags the call adds or removes. */
function tagged(call: LabRequest): Question[] {
  const ids = listed(call, "ResourceId");
  const keys = Object.keys(call.parameters).filter((name) => /^Tag\.\d+\.Key$/.test(name));
  const context = { "aws:TagKeys": keys.map((name) => parameter(call, name)) };
  return ids.flatMap((id) => existing(call, id, context));
}

/** Returns the values of a list parameter. */
function listed(call: LabRequest, list: string): string[] {
  const names = Object.keys(call.parameters).filter((name) => new RegExp(`^${list}\\.\\d+$`).test(name));
  return names.map((name) => parameter(call, name));
}

/**
 * Returns the accounts and groups that get or lose access to a snapshot: condition keys ec2:Add/userId and
 * similar.
 */
function sharing(call: LabRequest): Question["context"] {
  const change = parameter(call, "OperationType") === "add" ? "Add" : "Remove";
  const [users, groups] = [listed(call, "UserId"), listed(call, "UserGroup")];
  return {
    ...(users.length === 0 ? {} : { [`ec2:${change}/userId`]: users }),
    ...(groups.length === 0 ? {} : { [`ec2:${change}/group`]: groups }),
  };
}

/** Returns the condition keys of RunInstances for the instance itself. */
function launchContext(call: LabRequest): Question["context"] {
  const given = (key: string, name: string): Question["context"] =>
    parameter(call, name) === "" ? {} : { [key]: parameter(call, name) };
  const name = parameter(call, "IamInstanceProfile.Name");
  return {
    ...given("ec2:InstanceType", "InstanceType"),
    ...given("ec2:MetadataHttpTokens", "MetadataOptions.HttpTokens"),
    ...given("ec2:MetadataHttpPutResponseHopLimit", "MetadataOptions.HttpPutResponseHopLimit"),
    ...(name === ""
      ? given("ec2:InstanceProfile", "IamInstanceProfile.Arn")
      : { "ec2:InstanceProfile": `arn:aws:iam::${call.account}:instance-profile/${name}` }),
  };
}

function interfaceContext(call: LabRequest): Question["context"] {
  const isPublic = parameter(call, "NetworkInterface.1.AssociatePublicIpAddress");
  return isPublic === "" ? {} : { "ec2:AssociatePublicIpAddress": isPublic };
}

/** Returns the encryption of the root volume, if the call sets it. */
function rootContext(call: LabRequest): Question["context"] {
  const isEncrypted = parameter(call, "BlockDeviceMapping.1.Ebs.Encrypted");
  return isEncrypted === "" ? {} : { "ec2:Encrypted": isEncrypted };
}

function arn({ account, region }: LabRequest, resource: string): string {
  return `arn:aws:ec2:${region}:${account}:${resource}`;
}

const TYPES: Record<string, string> = { vol: "volume", snap: "snapshot", i: "instance" };

/** Questions about an existing resource. IAM sees its tags, except those of another account's snapshot. */
function existing(call: LabRequest, id: string, more: Question["context"] = {}): Question[] {
  const named = call.named[id];
  if (named === undefined) return [];
  const type = TYPES[id.split("-")[0] ?? ""];
  const tags = named.account === call.account ? named.tags : {};
  const context = { ...tagContext("ResourceTag", tags), ...more };
  if (type !== "snapshot") {
    return [question(call, `arn:aws:ec2:${named.region}:${named.account}:${type}/${id}`, context)];
  }
  const resource = `arn:aws:ec2:${named.region}::snapshot/${id}`;
  return [question(call, resource, { ...context, "ec2:Owner": named.account })];
}

/** Questions about a new resource and its tags. */
function made(
  call: LabRequest,
  type: "snapshot" | "volume" | "instance",
  more: Question["context"] = {},
  specification = 1,
): Question[] {
  const tags = requestTags(call, specification);
  const context: Question["context"] =
    Object.keys(tags).length === 0
      ? {}
      : { ...tagContext("RequestTag", tags), "aws:TagKeys": Object.keys(tags) };
  const owner = type === "snapshot" ? "" : call.account;
  const named = (id: string) => `arn:aws:ec2:${call.region}:${owner}:${type}/${id}`;
  const id = `${{ snapshot: "snap", volume: "vol", instance: "i" }[type]}-00000000000000001`;
  // "Example IAM policies for Amazon EBS": the resource of a snapshot copy is the asterisk itself.
  const making = question(call, named(call.action === "CopySnapshot" ? "*" : id), { ...context, ...more });
  if (Object.keys(tags).length === 0) return [making];
  const tagging = { ...context, "ec2:CreateAction": call.action };
  return [making, { ...question(call, named(id), tagging), action: "ec2:CreateTags" }];
}

function requestTags(call: LabRequest, specification: number): Record<string, string> {
  const prefix = `TagSpecification.${specification}.Tag.`;
  const keys = Object.keys(call.parameters).filter(
    (name) => name.startsWith(prefix) && name.endsWith(".Key"),
  );
  return Object.fromEntries(
    keys.map((name) => [parameter(call, name), parameter(call, name.replace(/Key$/, "Value"))]),
  );
}

function tagContext(key: "RequestTag" | "ResourceTag", tags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).map(([name, value]) => [`aws:${key}/${name}`, value]));
}

function passedRoles(call: LabRequest): Question[] {
  const profile = call.named[parameter(call, "IamInstanceProfile.Name")];
  return (profile?.attached ?? []).map((role) => ({
    ...question(call, role, { "iam:PassedToService": "ec2.amazonaws.com" }),
    action: "iam:PassRole",
  }));
}
