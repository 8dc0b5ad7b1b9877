import { BlockferryError } from "../../foundation/blockferry-error.js";
import { newJobId } from "../../repository/jobs/job.js";
import type { RecoveryPoint } from "../../repository/recovery-point.js";
import type { Parties } from "../parties.js";
import type { RestorePlan } from "../plan.js";
import type { RestoreRequest } from "../request.js";
import { Findings } from "./findings.js";
import { defaultEbsKey, usableKey } from "./keys.js";
import { identityOf } from "./preflight.js";
import { restoredVolumes } from "./restored-volumes.js";
import { checkRoomFor, findWorkerPlace } from "./worker.js";

export interface RestorePreflight {
  /** Undefined when so much is wrong that there is none. */
  plan: RestorePlan | undefined;
  findings: Findings;
}

/** Decides everything about a restore that can be decided, and finds all that stands in the way, without making anything. */
export async function restorePreflight(
  request: RestoreRequest,
  point: RecoveryPoint,
  parties: Parties,
): Promise<RestorePreflight> {
  const findings = new Findings();
  const { source, worker } = parties;
  const route = await findings.attempt(async () => routeTo(parties));
  const volumes = await findings.attempt(async () => restoredVolumes(point, request.volumes));
  const place = await findings.attempt(() => findWorkerPlace(worker, request.workerInstance));
  const volumeKey = await findings.attempt(async () =>
    usableKey(worker, request.volumeKey ?? (await defaultEbsKey(worker))),
  );
  if (volumes !== undefined && place !== undefined)
    await findings.attempt(() => checkRoomFor(volumes.length, worker, place));
  if (route === undefined || volumes === undefined || place === undefined || volumeKey === undefined)
    return { plan: undefined, findings };
  const plan: RestorePlan = {
    ...{ kind: "restore", jobId: newJobId(new Date()), repositoryId: point.repository, request, route },
    ...{ source: identityOf(source), worker: identityOf(worker), point: point.id, volumes },
    ...{ availabilityZone: place.availabilityZone, workerRoot: place.root, volumeKey: volumeKey.Arn },
    awsManagedKeys: volumeKey.KeyManager === "AWS" ? [volumeKey.Arn] : [],
  };
  return { plan, findings };
}

/** @throws Usage */
function routeTo({ source, worker }: Parties): RestorePlan["route"] {
  if (source.region !== worker.region) {
    throw new BlockferryError({
      code: "Usage",
      message: `The worker is in ${worker.region}, and what is restored is to be in ${source.region}: a restore stays in one Region.`,
      remedy: `Take a worker in ${source.region}. Or restore to snapshots in ${worker.region}, and copy them: aws ec2 copy-snapshot.`,
    });
  }
  if (source.accountId === worker.accountId) return "same-account";
  throw new BlockferryError({
    code: "Usage",
    message: `The worker is in account ${worker.accountId}, and what is restored is to be in ${source.accountId}.`,
    remedy: "Take a worker of that account, with --worker-account source.",
  });
}
