import { DeleteVolumeCommand } from "@aws-sdk/client-ec2";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "./aws-errors.js";
import { undoEach } from "./job-resources.js";
import { keyNotUsable } from "./key-failure.js";
import type { Party } from "./party.js";
import { type JobContext, poll, waitFor } from "./poll.js";
import { Sightings } from "./sightings.js";
import { findJobVolumes, volumeKind } from "./volumes.js";

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
  return keyNotUsable(party, `Volume ${id}, made of volume ${name}, ${how}.`, id, [...new Set(keys)]);
}
