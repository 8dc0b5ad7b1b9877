import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { awaitVolumes, deleteVolumes } from "../aws/made-volumes.js";
import { waitFor } from "../aws/poll.js";
import { untilVisible } from "../aws/retry.js";
import { SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import { findJobVolumes } from "../aws/volumes.js";
import type { RestoredVolume, RestorePlan } from "../plan.js";
import { likeRecorded } from "./create-blank-volumes.js";
import { givenId, madeId } from "./made-id.js";
import type { Step } from "./step.js";

/** Creates volumes from the shared snapshots in the target account, under its own key. */
export const createTargetVolumes: Step<RestorePlan> = {
  name: "create-target-volumes",
  title: "Making volumes in the account that is restored to",
  makes: "a volume of each shared snapshot, in the account that is restored to",
  uses: () => [
    ...use("source", "ec2:CreateVolume", "shared-snapshot"),
    ...making("source", "ec2:CreateVolume", "new-volume"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("source", "shared-keys", "copy-key"),
  ],
  make: async (context) => {
    const { plan, source, made, timing } = context;
    const targetVolumes: Record<string, string> = {};
    const found = await findJobVolumes(source, plan.jobId);
    for (const volume of plan.volumes) {
      const id = madeId(made.snapshots, volume.name);
      const wait = waitFor(context, `snapshot ${id} to be visible`, id, timing.visibleMs);
      const create = () => source.ec2(command(plan, volume, id), id);
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } = found.get(volume.name) ?? (await untilVisible(wait, create));
      targetVolumes[volume.name] = givenId(VolumeId, "of a volume");
    }
    return { targetVolumes };
  },
  wait: async (context) => {
    const { plan, source, made } = context;
    const keys = [plan.volumeKey, ...(plan.targetKey === null ? [] : [plan.targetKey])];
    await awaitVolumes(context, source, made.targetVolumes ?? {}, () => keys);
    return {};
  },
  undo: (context) => deleteVolumes(context, context.source, context.made.targetVolumes),
};

function command({ jobId, volumes, targetZone, targetKey }: RestorePlan, volume: RestoredVolume, id: string) {
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-target-${volumes.indexOf(volume)}`,
    AvailabilityZone: targetZone,
    SnapshotId: id,
    Encrypted: true,
    ...(targetKey === null ? {} : { KmsKeyId: targetKey }),
    ...likeRecorded(volume),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: volume.name })],
  });
}
