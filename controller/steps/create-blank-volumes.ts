import { CreateVolumeCommand } from "@aws-sdk/client-ec2";
import { making, use, useKeys } from "../aws/action-use.js";
import { awaitVolumes, deleteVolumes } from "../aws/made-volumes.js";
import { SOURCE_VOLUME_TAG, tagged } from "../aws/tags.js";
import { findJobVolumes } from "../aws/volumes.js";
import type { RestoredVolume, RestorePlan } from "../plan.js";
import { givenId } from "./made-id.js";
import type { Step } from "./step.js";

/** Creates blank volumes like the backed-up ones, always encrypted with the key of the plan. */
export const createBlankVolumes: Step<RestorePlan> = {
  name: "create-blank-volumes",
  title: "Making encrypted volumes",
  makes: "a blank volume for each that is restored, in the worker's account and Availability Zone",
  uses: () => [
    ...making("worker", "ec2:CreateVolume", "new-volume"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DeleteVolume", "job-volume"),
    ...useKeys("worker", "volume-key"),
  ],
  make: async ({ plan, worker }) => {
    const volumes: Record<string, string> = {};
    const found = await findJobVolumes(worker, plan.jobId);
    for (const volume of plan.volumes) {
      // The same client token returns a volume that was created but is not visible yet.
      const { VolumeId } = found.get(volume.name) ?? (await worker.ec2(command(plan, volume), volume.name));
      volumes[volume.name] = givenId(VolumeId, "of a volume");
    }
    return { volumes };
  },
  wait: async (context) => {
    const { plan, worker, made } = context;
    await awaitVolumes(context, worker, made.volumes ?? {}, () => [plan.volumeKey]);
    return {};
  },
  undo: (context) => deleteVolumes(context, context.worker, context.made.volumes),
};

function command({ jobId, volumes, availabilityZone, volumeKey }: RestorePlan, volume: RestoredVolume) {
  return new CreateVolumeCommand({
    ClientToken: `${jobId}-${volumes.indexOf(volume)}`,
    AvailabilityZone: availabilityZone,
    ...{ Encrypted: true, KmsKeyId: volumeKey },
    ...likeRecorded(volume),
    TagSpecifications: [tagged("volume", jobId, { [SOURCE_VOLUME_TAG]: volume.name })],
  });
}

/** Returns the properties that make a volume like the backed-up one. */
export function likeRecorded({ sizeGib, type, iops, throughput }: RestoredVolume) {
  return {
    ...{ Size: sizeGib, VolumeType: type as never },
    ...(iops === null ? {} : { Iops: iops }),
    ...(throughput === null ? {} : { Throughput: throughput }),
  };
}
