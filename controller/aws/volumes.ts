import { DescribeVolumesCommand, type Volume } from "@aws-sdk/client-ec2";
import type { Party } from "./party.js";
import { jobFilter, SOURCE_VOLUME_TAG, tagOf } from "./tags.js";

/** A job's temporary volumes, by the volume of the instance that each is a copy of. */
export async function findJobVolumes(party: Party, jobId: string): Promise<Map<string, Volume>> {
  const { Volumes = [] } = await party.ec2(
    new DescribeVolumesCommand({ Filters: [jobFilter(jobId)] }),
    `the volumes of ${jobId}`,
  );
  return new Map(Volumes.map((volume) => [tagOf(volume.Tags, SOURCE_VOLUME_TAG) ?? "", volume]));
}
