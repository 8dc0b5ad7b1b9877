import type { PartyName, ResourceKind } from "../aws/action-use.js";
import { JOB_TAG } from "../aws/tags.js";
import type { Plan } from "../plan.js";
import { isBridged, ROUTE_TABLE } from "../route.js";

export interface Scope {
  resources: string[];
  condition?: Record<string, Record<string, string>>;
}

const ANY_JOB = "job-*";
/** What the job makes carries the tag from the first moment; what is changed or removed must carry it. */
const MAKES_TAGGED = { StringLike: { [`aws:RequestTag/${JOB_TAG}`]: ANY_JOB } };
const IS_TAGGED = { StringLike: { [`aws:ResourceTag/${JOB_TAG}`]: ANY_JOB } };

/** The ARNs and conditions of a kind of resource, in one party's account. Empty `resources`: the plan has none. */
export function scopeOf(kind: ResourceKind, party: PartyName, plan: Plan): Scope {
  const { partition, accountId, region } = plan[party];
  const arn = (resource: string, account = accountId, where = region) =>
    `arn:${partition}:ec2:${where}:${account}:${resource}`;
  const regions = [...new Set([plan.source.region, plan.worker.region])];
  const snapshots = regions.map((where) => arn("snapshot/*", "", where));
  const { request } = plan;
  switch (kind) {
    case "any":
      return { resources: ["*"] };
    case "source-instance":
      return { resources: [arn(`instance/${plan.instance.instanceId}`)] };
    case "source-volumes":
      return { resources: plan.volumes.map(({ origin }) => arn(`volume/${origin.volumeId}`)) };
    case "new-snapshot":
      return { resources: snapshots, condition: MAKES_TAGGED };
    case "job-snapshot":
      return { resources: snapshots, condition: IS_TAGGED };
    case "shared-snapshot":
      return { resources: snapshots };
    case "new-volume":
      return { resources: [arn("volume/*")], condition: MAKES_TAGGED };
    case "job-volume":
      return { resources: [arn("volume/*")], condition: IS_TAGGED };
    case "new-instance":
      return { resources: [arn("instance/*")], condition: MAKES_TAGGED };
    case "worker-instance":
      return request.workerInstance.kind === "existing"
        ? { resources: [arn(`instance/${request.workerInstance.instanceId}`)] }
        : { resources: [arn("instance/*")], condition: IS_TAGGED };
    case "launch-inputs":
      return { resources: launchInputs(plan, arn) };
    case "worker-role":
      return { resources: [`arn:${partition}:iam::${accountId}:role/*`], condition: PASSED_TO_EC2 };
    default:
      return { resources: keysOf(kind, plan) };
  }
}

const PASSED_TO_EC2 = { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } };

function launchInputs(plan: Plan, arn: (resource: string, account?: string) => string): string[] {
  const { workerInstance } = plan.request;
  if (workerInstance.kind !== "launch") return [];
  return [
    arn(`image/${workerInstance.imageId}`, ""),
    arn(`subnet/${workerInstance.subnetId}`),
    ...workerInstance.securityGroupIds.map((id) => arn(`security-group/${id}`)),
    arn("network-interface/*"),
    arn("volume/*"),
  ];
}

type KeyResource = "source-keys" | "shared-keys" | "copy-key" | "volume-key";

/** ARNs of the keys that play a part. */
export function keysOf(kind: KeyResource, plan: Plan): string[] {
  const { volumes, route, copyKey, volumeKey } = plan;
  const sourceKeys = volumes.flatMap(({ origin }) => origin.kmsKeyId ?? []);
  const sharedKeys = volumes.flatMap(({ origin, key }) => {
    if (isBridged(route, key)) return copyKey ?? [];
    return origin.kmsKeyId ?? [];
  });
  const { workerCopies } = ROUTE_TABLE[route];
  switch (kind) {
    case "source-keys":
      return [...new Set(sourceKeys)];
    case "shared-keys":
      return [...new Set(workerCopies && copyKey !== null ? [...sharedKeys, copyKey] : sharedKeys)];
    case "copy-key":
      return copyKey === null ? [] : [copyKey];
    case "volume-key":
      return [volumeKey];
  }
}
