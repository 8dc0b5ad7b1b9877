import type { ResourceKind } from "../aws/action-use.js";
import type { JobPlan, RestorePlan } from "../plan.js";
import { isBridged, ROUTE_TABLE } from "../route.js";

const KEY_RESOURCES = ["source-keys", "shared-keys", "copy-key", "volume-key"] as const;

type KeyResource = (typeof KEY_RESOURCES)[number];

export function isKeyResource(kind: ResourceKind): kind is KeyResource {
  return (KEY_RESOURCES as readonly string[]).includes(kind);
}

/** Returns the ARNs of the keys in a role of the plan. */
export function keysOf(kind: KeyResource, plan: JobPlan): string[] {
  if (plan.kind === "restore") return restoreKeysOf(kind, plan);
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

function restoreKeysOf(kind: KeyResource, { route, volumeKey, targetKey }: RestorePlan): string[] {
  switch (kind) {
    case "source-keys":
      return [];
    case "shared-keys":
      return route === "cross-account" ? [volumeKey] : [];
    case "copy-key":
      return targetKey === null ? [] : [targetKey];
    case "volume-key":
      return [volumeKey];
  }
}

/**
 * Returns the keys of an account whose key policies decide whether EBS may use them.
 * Keys that AWS manages are left out: the whole account may use them.
 */
export function keysOwnedBy(accountId: string, plan: JobPlan): string[] {
  const keys = new Set(KEY_RESOURCES.flatMap((kind) => keysOf(kind, plan)));
  return [...keys].filter((key) => key.split(":")[4] === accountId && !plan.awsManagedKeys.includes(key));
}
