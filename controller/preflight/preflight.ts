import type { KeyMetadata } from "@aws-sdk/client-kms";
import { newJobId } from "../../repository/jobs/job.js";
import type { Party, PlannedParty } from "../aws/party.js";
import type { Parties } from "../plan/parties.js";
import type { Plan, PlannedVolume } from "../plan/plan.js";
import type { BackupRequest } from "../plan/request.js";
import { chooseRoute, isBridged, isRefused, type KeyKind, ROUTE_TABLE, type Route } from "../plan/route.js";
import { pinned } from "../plan/signing.js";
import { PreflightFindings, tryCalls } from "./dry-runs.js";
import { checkBridgeKey, checkKeyAccess, defaultEbsKey, keyKindOf, notShareable, usableKey } from "./keys.js";
import { readSourceInstance, type SourceInstance } from "./source-instance.js";
import { checkRoomFor, findWorkerPlace } from "./worker.js";

export interface Preflight {
  /** Undefined when the problems leave no valid plan. */
  plan: Plan | undefined;
  findings: PreflightFindings;
}

/** Makes the plan of a backup and finds all problems, without creating any resource. */
export async function preflight(request: BackupRequest, parties: Parties): Promise<Preflight> {
  const findings = new PreflightFindings();
  const { source, worker, signing } = parties;
  await findings.attempt(() => signing.check());
  findings.notes.push(...signing.notes);
  const route = routeBetween(source, worker, request);
  const found = await findings.attempt(() => readSourceInstance(source, request));
  const place = await findings.attempt(() => findWorkerPlace(worker, request.workerInstance));
  const volumeKey = await findings.attempt(async () =>
    usableKey(worker, request.volumeKey ?? (await defaultEbsKey(worker))),
  );
  if (found === undefined) return { plan: undefined, findings };
  const volumes = await checkVolumes(found, route, parties, findings);
  if (place === undefined || volumeKey === undefined) return { plan: undefined, findings };
  await findings.attempt(() => checkRoomFor(volumes.length, worker, place));
  const copyKey = await findings.attempt(() => chooseCopyKey(request, route, parties, volumeKey.Arn));
  if (copyKey && ROUTE_TABLE[route].shares) await findings.attempt(() => usableKey(worker, copyKey));
  const plan: Plan = {
    kind: "backup",
    jobId: newJobId(new Date()),
    repositoryId: signing.place.repository,
    request: { ...request, repository: pinned(request.repository, signing) },
    ...{ route, volumes, volumeKey: volumeKey.Arn, copyKey: copyKey ?? null },
    awsManagedKeys: managedByAws(volumes, volumeKey),
    excludedDataVolumes: found.excludedDataVolumes,
    ...{
      instance: found.instance,
      availabilityZone: place.availabilityZone,
      workerRoot: place.root,
    },
    ...{ source: identityOf(source), worker: identityOf(worker) },
  };
  await checkKeyAccess(plan, parties, findings);
  await tryCalls(plan, parties, findings);
  return { plan, findings };
}

function routeBetween(source: Party, worker: Party, { bridgeKey }: BackupRequest): Route {
  return chooseRoute({
    accounts: source.accountId === worker.accountId ? "same" : "different",
    regions: source.region === worker.region ? "same" : "different",
    bridge: bridgeKey === null ? "none" : "given",
  });
}

/**
 * Returns the volumes with the kinds of their keys.
 * Records a problem for every volume that the route cannot carry.
 */
async function checkVolumes(
  { volumes }: SourceInstance,
  route: Route,
  { source, worker }: Parties,
  findings: PreflightFindings,
): Promise<PlannedVolume[]> {
  const kinds = new Map<string | null, KeyKind>();
  for (const key of new Set(volumes.map(({ origin }) => origin.kmsKeyId))) {
    kinds.set(key, (await findings.attempt(() => keyKindOf(source, key))) ?? "customer");
    const isOthers =
      ROUTE_TABLE[route].shares && kinds.get(key) === "customer" && !isBridged(route, "customer");
    if (key !== null && isOthers) await findings.attempt(() => usableKey(worker, key));
  }
  const planned = volumes.map((volume) => ({ ...volume, key: kinds.get(volume.origin.kmsKeyId) ?? "none" }));
  for (const { origin, key } of planned) {
    if (isRefused(route, key)) findings.problems.push(notShareable(origin.volumeId, origin.kmsKeyId));
  }
  return planned;
}

function managedByAws(volumes: PlannedVolume[], volumeKey: KeyMetadata & { Arn: string }): string[] {
  const keys = volumes.flatMap(({ key, origin }) => (key === "aws-managed" ? (origin.kmsKeyId ?? []) : []));
  if (volumeKey.KeyManager === "AWS") keys.push(volumeKey.Arn);
  return [...new Set(keys)];
}

/** Returns the ARN of the key for copies; null on routes without copies. */
async function chooseCopyKey(
  { bridgeKey }: BackupRequest,
  route: Route,
  { source, worker }: Parties,
  volumeKey: string,
): Promise<string | null> {
  const { bridges, workerCopies, shares } = ROUTE_TABLE[route];
  if (workerCopies) return volumeKey;
  if (bridges === "none") return null;
  const key = await usableKey(source, bridgeKey ?? volumeKey);
  checkBridgeKey(key, worker.region, shares);
  return key.Arn;
}

export function identityOf({ accountId, principalArn, partition, region }: Party): PlannedParty {
  return { accountId, principalArn, partition, region };
}
