import type { KeyMetadata } from "@aws-sdk/client-kms";
import { usage } from "../../command-line/options.js";
import { BlockferryError } from "../../foundation/errors.js";
import { machineName, type RecoveryPoint } from "../../repository/format/recovery-point.js";
import { newJobId } from "../../repository/jobs/job.js";
import type { Parties } from "../plan/parties.js";
import type { RestorePlan } from "../plan/plan.js";
import type { RestoreRequest } from "../plan/request.js";
import { pinned } from "../plan/signing.js";
import { PreflightFindings, tryRestoreCalls } from "./dry-runs.js";
import { checkKeyAccess, defaultEbsKey, usableKey } from "./keys.js";
import { identityOf } from "./preflight.js";
import { restoredInstance, restoredVolumes, zoneOfSubnet } from "./restored-instance.js";
import { checkRoomAt, checkRoomFor, findAttachTo, findWorkerPlace, type WorkerPlace } from "./worker.js";

type Key = KeyMetadata & { Arn: string };

export interface RestorePreflight {
  /** Undefined when the problems leave no valid plan. */
  plan: RestorePlan | undefined;
  findings: PreflightFindings;
}

/** Makes the plan of a restore and finds all problems, without creating any resource. */
export async function restorePreflight(
  request: RestoreRequest,
  point: RecoveryPoint,
  parties: Parties,
): Promise<RestorePreflight> {
  const findings = new PreflightFindings();
  const { source, worker, signing } = parties;
  await findings.attempt(() => signing.check());
  findings.notes.push(...signing.notes);
  const route = await findings.attempt(async () => routeTo(parties));
  const volumes = await findings.attempt(async () => restoredVolumes(point, request.volumes));
  const place = await findings.attempt(() => findWorkerPlace(worker, request.workerInstance));
  const volumeKey = await findings.attempt(() => chooseVolumeKey(request, parties));
  // Only a finding, so that the key policy can be printed before it lets the other account in.
  if (volumeKey !== undefined && !isOneAccount(parties))
    await findings.attempt(() => usableKey(source, volumeKey.Arn));
  const targetKey = await findings.attempt(() => chooseTargetKey(request, parties));
  const attachTo = await findings.attempt(() => findAttachTo(request, source));
  const subnetZone = await findings.attempt(() => zoneOfSubnet(request, point, source));
  const wantedZone = await findings.attempt(async () =>
    theOneZone({
      "--zone": request.zone ?? undefined,
      "--attach-to": attachTo?.Placement?.AvailabilityZone,
      "the subnet (--subnet)": subnetZone,
    }),
  );
  const targetZone = await findings.attempt(async () =>
    chooseZone(wantedZone ?? null, point, parties, place),
  );
  const launch = await findings.attempt(async () =>
    request.to === "instance" && volumes !== undefined
      ? restoredInstance(request, point, volumes, source, findings)
      : null,
  );
  if (volumes !== undefined && place !== undefined)
    await findings.attempt(() => checkRoomFor(volumes.length, worker, place));
  if (volumes !== undefined && attachTo !== undefined && attachTo !== null)
    await findings.attempt(() => checkRoomAt(attachTo, volumes.length, source));
  if (request.attachTo !== null && request.attachTo !== point.instance?.instanceId)
    findings.notes.push(otherInstanceNote(request.attachTo, point));
  for (const { name, unreadableBytes } of volumes ?? [])
    if (unreadableBytes > 0) findings.notes.push(unreadableNote(name, unreadableBytes, point));
  if (route === undefined || volumes === undefined || place === undefined || volumeKey === undefined)
    return { plan: undefined, findings };
  if (targetKey === undefined || targetZone === undefined || launch === undefined)
    return { plan: undefined, findings };
  const plan: RestorePlan = {
    ...{ kind: "restore", jobId: newJobId(new Date()), repositoryId: signing.place.repository, route },
    request: { ...request, repository: pinned(request.repository, signing) },
    ...{ source: identityOf(source), worker: identityOf(worker), point: point.id, volumes },
    ...{ availabilityZone: place.availabilityZone, workerRoot: place.root, volumeKey: volumeKey.Arn },
    ...{ launch, targetZone, targetKey: targetKey?.Arn ?? null },
    awsManagedKeys: [volumeKey, targetKey].flatMap((key) => (key?.KeyManager === "AWS" ? key.Arn : [])),
  };
  await checkKeyAccess(plan, parties, findings);
  await tryRestoreCalls(plan, parties, findings);
  return { plan, findings };
}

/** @throws Usage when the worker is in another Region */
function routeTo({ source, worker }: Parties): RestorePlan["route"] {
  if (source.region !== worker.region) {
    throw new BlockferryError({
      code: "Usage",
      message: `The worker is in ${worker.region}, but the restore goes to ${source.region}: a restore stays in one Region.`,
      remedy: `Use a worker in ${source.region}. Or restore to snapshots in ${worker.region}, and copy them: aws ec2 copy-snapshot.`,
    });
  }
  return isOneAccount({ source, worker }) ? "same-account" : "cross-account";
}

function isOneAccount({ source, worker }: Omit<Parties, "signing">): boolean {
  return source.accountId === worker.accountId;
}

/**
 * Returns the key of the volumes that the worker fills.
 * Across accounts snapshots under the key must be shareable.
 * @throws KeyNotUsable, SnapshotNotShareable
 */
async function chooseVolumeKey({ volumeKey }: RestoreRequest, parties: Parties): Promise<Key> {
  const { worker } = parties;
  const key = await usableKey(worker, volumeKey ?? (await defaultEbsKey(worker)));
  if (isOneAccount(parties)) return key;
  if (key.KeyManager === "AWS") throw notShareable(key.Arn, parties);
  return key;
}

/**
 * Returns the key for the target account; null within one account.
 * @throws KeyNotUsable, Usage
 */
async function chooseTargetKey({ targetKey }: RestoreRequest, parties: Parties): Promise<Key | null> {
  const { source } = parties;
  if (!isOneAccount(parties)) return usableKey(source, targetKey ?? (await defaultEbsKey(source)));
  if (targetKey === null) return null;
  throw usage(
    "--target-key is given, but the worker is in the target account.",
    "Give --volume-key instead: the restored volumes are the ones that the worker fills.",
  );
}

/**
 * Returns the zone that all options agree on.
 * Null when no option asks for a zone.
 * @param zones by the option that asks for them
 * @throws Usage when the zones differ
 */
function theOneZone(zones: Record<string, string | undefined>): string | null {
  const asked = Object.entries(zones).flatMap(([by, zone]) => (zone === undefined ? [] : [{ by, zone }]));
  const [first, ...others] = asked;
  const other = others.find(({ zone }) => zone !== first?.zone);
  if (first === undefined || other === undefined) return first?.zone ?? null;
  throw usage(
    `The options contradict each other: ${first.by} is in ${first.zone}, and ${other.by} is in ${other.zone}.`,
    "Give options of the same Availability Zone.",
  );
}

/** Returns a note: attaching to another instance may be intended, but is an easy mistake. */
function otherInstanceNote(attachTo: string, point: RecoveryPoint): string {
  return `the volumes come from ${machineName(point)}, but will be attached to another instance, ${attachTo}`;
}

/** Returns a note: the restore continues, because the rest of the volume is intact. */
function unreadableNote(name: string, bytes: number, { id }: RecoveryPoint): string {
  return `${bytes} bytes of ${name} could not be read when it was backed up, and are restored as zeros; \`blockferry show ${id}\` lists them`;
}

/**
 * Returns the zone of the restored volumes.
 * A volume stays in the zone where it was created. In another account, volumes are created from a snapshot in
 * any zone.
 * @throws Usage
 */
function chooseZone(
  zone: string | null,
  { instance }: RecoveryPoint,
  parties: Parties,
  place: WorkerPlace | undefined,
): string {
  const workerZone = place?.availabilityZone ?? "";
  if (!isOneAccount(parties)) {
    const recorded = instance?.region === parties.source.region ? instance.availabilityZone : undefined;
    return zone ?? recorded ?? workerZone;
  }
  if (zone === null || zone === workerZone || place === undefined) return workerZone;
  throw usage(
    `The restore goes to ${zone}, but the worker is in ${workerZone}: volumes stay in the zone where they are filled.`,
    `Use a worker in ${zone}, restore to ${workerZone} (--subnet, --zone, --attach-to), or restore --to snapshot: volumes can be made from a snapshot in any zone.`,
  );
}

function notShareable(key: string, { source, worker }: Parties): BlockferryError {
  return new BlockferryError({
    code: "SnapshotNotShareable",
    message: `The worker's volumes would be encrypted with ${key}, which AWS manages: their snapshots cannot be shared with account ${source.accountId}.`,
    remedy: `Give --volume-key ARN of a customer-managed key of account ${worker.accountId} that ${source.accountId} may use, or a worker of that account with --worker-account source.`,
    object: key,
  });
}
