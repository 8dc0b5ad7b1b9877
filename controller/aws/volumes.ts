import { DeleteVolumeCommand, DescribeVolumesCommand, type Filter, type Volume } from "@aws-sdk/client-ec2";
import type { BlockferryError } from "../../foundation/errors.js";
import { awsCode } from "./aws-errors.js";
import { keyNotUsable } from "./instances.js";
import {
  jobFilter,
  type ResourceKind,
  Sightings,
  SOURCE_VOLUME_TAG,
  tagOf,
  undoEach,
} from "./job-resources.js";
import type { Party } from "./party.js";
import { type JobContext, poll, waitFor } from "./poll.js";

/** Returns a job's temporary volumes, by the name of the volume that each is a copy of. */
export async function findJobVolumes(party: Party, jobId: string): Promise<Map<string, Volume>> {
  const volumes = await volumeKind(party, jobId).list();
  return new Map(volumes.map((volume) => [tagOf(volume.Tags, SOURCE_VOLUME_TAG) ?? "", volume]));
}

export function volumeKind(party: Party, jobId: string): ResourceKind<Volume> {
  return {
    idOf: ({ VolumeId = "" }) => VolumeId,
    list: () => describeVolumes(party, jobFilter(jobId), `the volumes of ${jobId}`),
    describe: (ids) => describeVolumes(party, { Name: "volume-id", Values: ids }, ids.join(", ")),
  };
}

/** Returns all volumes that a filter selects. @param object names them in errors */
export async function describeVolumes(party: Party, filter: Filter, object: string): Promise<Volume[]> {
  const pages = await party.ec2Pages(
    (page) => new DescribeVolumesCommand({ Filters: [filter], ...page }),
    object,
  );
  return pages.flatMap(({ Volumes = [] }) => Volumes);
}

const USABLE = ["available", "in-use"];

/**
 * Waits until the volumes of a job can be used.
 * @param volumes ids by volume name
 * @param keysOf the keys that EBS needs for one volume
 * @throws KeyNotUsable, WaitTimedOut
 */
export async function awaitVolumes(
  context: JobContext,
  party: Party,
  volumes: Record<string, string>,
  keysOf: (name: string) => string[],
): Promise<void> {
  const { plan, timing } = context;
  const ids = Object.values(volumes);
  const sightings = new Sightings(timing.visibleMs);
  const wait = waitFor(context, "the volumes to be available", ids.join(", "), timing.resourceMs);
  await poll(wait, async () => {
    const found = [...(await findJobVolumes(party, plan.jobId)).values()];
    for (const [name, id] of Object.entries(volumes)) {
      const volume = found.find(({ VolumeId }) => VolumeId === id);
      const isGone = sightings.isGone(id, volume !== undefined);
      if (isGone || volume?.State === "error")
        throw await volumeFailed(party, id, name, isGone ? "vanished" : "failed", keysOf(name));
    }
    const usable = found.filter(
      ({ VolumeId = "", State = "" }) => ids.includes(VolumeId) && USABLE.includes(State),
    );
    context.progress(`${usable.length} of ${ids.length}`);
    return usable.length === ids.length ? true : undefined;
  });
}

/** Deletes the volumes of a job, and waits until they are gone. */
export async function deleteVolumes(
  context: JobContext,
  party: Party,
  known: Record<string, string> = {},
): Promise<void> {
  const removed = new Set<string>();
  await undoEach(context, {
    kind: volumeKind(party, context.plan.jobId),
    known: Object.values(known),
    what: "the volumes to be deleted",
    timeoutMs: context.timing.resourceMs,
    removed,
    undo: async ({ VolumeId = "" }) => {
      if (!removed.has(VolumeId) && (await isDeleted(party, VolumeId))) removed.add(VolumeId);
      return false;
    },
  });
}

/**
 * Requests the deletion of a volume.
 * @returns false while AWS refuses, as it does until a new volume is `available`:
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html
 */
async function isDeleted(party: Party, VolumeId: string): Promise<boolean> {
  try {
    await party.ec2(new DeleteVolumeCommand({ VolumeId }), VolumeId);
    return true;
  } catch (error) {
    if (awsCode(error) === "IncorrectState") return false;
    throw error;
  }
}

/**
 * Returns the error for a volume that failed.
 * `CreateVolume` succeeds with any key; the volume fails afterwards when EBS cannot use a key.
 */
function volumeFailed(
  party: Party,
  id: string,
  name: string,
  how: "vanished" | "failed",
  keys: string[],
): Promise<BlockferryError> {
  return keyNotUsable(party, `Volume ${id}, made for volume ${name}, ${how}.`, id, [...new Set(keys)]);
}
