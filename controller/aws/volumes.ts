import { DescribeVolumesCommand, type Filter, type Volume } from "@aws-sdk/client-ec2";
import type { ResourceKind } from "./job-resources.js";
import type { Party } from "./party.js";
import { jobFilter, SOURCE_VOLUME_TAG, tagOf } from "./tags.js";

/** Returns a job's temporary volumes, by the name of the volume that each is a copy of. */
export async function findJobVolumes(party: Party, jobId: string): Promise<Map<string, Volume>> {
  const volumes = await volumeKind(party, jobId).list();
  return new Map(volumes.map((volume) => [tagOf(volume.Tags, SOURCE_VOLUME_TAG) ?? "", volume]));
}

export function volumeKind(party: Party, jobId: string): ResourceKind<Volume> {
  const find = async (filter: Filter, object: string) => {
    const { Volumes = [] } = await party.ec2(new DescribeVolumesCommand({ Filters: [filter] }), object);
    return Volumes;
  };
  return {
    idOf: ({ VolumeId = "" }) => VolumeId,
    list: () => find(jobFilter(jobId), `the volumes of ${jobId}`),
    describe: (ids) => find({ Name: "volume-id", Values: ids }, ids.join(", ")),
  };
}
