import assert from "node:assert/strict";
import type { LabRequest } from "../lab-control.js";
import { type Question, question } from "./iam-request.js";

/**
 * What IAM is asked for a call of EC2, one question for each resource:
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
  ModifySnapshotAttribute: (call) => existing(call, parameter(call, "SnapshotId")),
  DescribeSnapshotAttribute: (call) => existing(call, parameter(call, "SnapshotId")),
  DeleteSnapshot: (call) => existing(call, parameter(call, "SnapshotId")),
  CreateVolume: (call) => [...existing(call, parameter(call, "SnapshotId")), ...made(call, "volume")],
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
    // The default group of the VPC: the call names none.
    question(call, arn(call, "security-group/sg-00000000000000001")),
    question(call, arn(call, "network-interface/eni-00000000000000001")),
    // A worker's root volume carries no tags, that of a restored instance's image does.
    ...made(call, "volume", 2),
    ...made(call, "instance"),
    ...passedRoles(call),
  ],
  TerminateInstances: (call) => existing(call, parameter(call, "InstanceId.1")),
};

function parameter({ parameters }: LabRequest, name: string): string {
  return String(parameters[name] ?? "");
}

/** A worker's network interface is described in the call, a restored instance's is not. */
function subnetOf(call: LabRequest): string {
  return parameter(call, "NetworkInterface.1.SubnetId") || parameter(call, "SubnetId");
}

/** Tags that are given to, or taken from, what is there. */
function tagged(call: LabRequest): Question[] {
  const ids = Object.keys(call.parameters).filter((name) => /^ResourceId\.\d+$/.test(name));
  return ids.flatMap((name) => existing(call, parameter(call, name)));
}

function arn({ account, region }: LabRequest, resource: string): string {
  return `arn:aws:ec2:${region}:${account}:${resource}`;
}

const TYPES: Record<string, string> = { vol: "volume", snap: "snapshot", i: "instance" };

/** About something that is there: IAM sees its tags, but not those of another account's snapshot. */
function existing(call: LabRequest, id: string): Question[] {
  const named = call.named[id];
  if (named === undefined) return [];
  const type = TYPES[id.split("-")[0] ?? ""];
  const tags = named.account === call.account ? named.tags : {};
  const context = tagContext("ResourceTag", tags);
  if (type !== "snapshot") {
    return [question(call, `arn:aws:ec2:${named.region}:${named.account}:${type}/${id}`, context)];
  }
  const resource = `arn:aws:ec2:${named.region}::snapshot/${id}`;
  return [question(call, resource, { ...context, "ec2:Owner": named.account })];
}

/** About what the call makes, and about the tags that it gives it. */
function made(call: LabRequest, type: "snapshot" | "volume" | "instance", specification = 1): Question[] {
  const tags = requestTags(call, specification);
  const context: Question["context"] =
    Object.keys(tags).length === 0
      ? {}
      : { ...tagContext("RequestTag", tags), "aws:TagKeys": Object.keys(tags) };
  const owner = type === "snapshot" ? "" : call.account;
  const named = (id: string) => `arn:aws:ec2:${call.region}:${owner}:${type}/${id}`;
  const id = `${{ snapshot: "snap", volume: "vol", instance: "i" }[type]}-00000000000000001`;
  // "Example IAM policies for Amazon EBS": where a snapshot is copied, the copy is the asterisk itself.
  const making = question(call, named(call.action === "CopySnapshot" ? "*" : id), context);
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
