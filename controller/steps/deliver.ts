import { CreateTagsCommand, DeleteTagsCommand, type Tag } from "@aws-sdk/client-ec2";
import { use } from "../aws/action-use.js";
import { restoredInstanceKind } from "../aws/instances.js";
import { poll } from "../aws/poll.js";
import { snapshotKind } from "../aws/snapshots.js";
import {
  JOB_TAG,
  jobName,
  RESTORED_BY_TAG,
  RESTORED_FROM_TAG,
  ROLE_TAG,
  SOURCE_VOLUME_TAG,
  tagOf,
} from "../aws/tags.js";
import { volumeKind } from "../aws/volumes.js";
import type { RestorePlan } from "../plan.js";
import { restoredSnapshotIds, restoredVolumeIds } from "../restored.js";
import { type Step, type StepContext, waitFor } from "./step.js";

/**
 * Makes what was restored its owner's: until here it carries the tag of the job, as all that is temporary does, and is removed
 * with it. One call takes the tag off everything, so a restore is delivered as a whole or not at all, and AWS itself says
 * which, whenever the run ends.
 */
export const deliver: Step<RestorePlan> = {
  name: "deliver",
  title: "Handing over what was restored",
  makes:
    "tags that say what was restored from where, in place of the job's: what carries them is removed no more",
  uses: ({ request: { to } }) => {
    const kinds = {
      volumes: ["job-volume"],
      snapshot: ["job-snapshot"],
      instance: ["job-volume", "restored-instance"],
    } as const;
    return [
      ...use("source", "ec2:CreateTags", ...kinds[to]),
      ...use("source", "ec2:DeleteTags", ...kinds[to]),
      ...use("source", to === "snapshot" ? "ec2:DescribeSnapshots" : "ec2:DescribeVolumes", "any"),
      ...(to === "instance" ? use("source", "ec2:DescribeInstances", "any") : []),
    ];
  },
  make: async (context) => {
    const { plan, source } = context;
    const parcels = parcelsOf(context);
    const kept = await stillOurs(context);
    for (const { id, tags } of parcels.filter((parcel) => kept.includes(parcel.id)))
      await source.ec2(new CreateTagsCommand({ Resources: [id], Tags: tags }), id);
    if (kept.length > 0) await source.ec2(handOver(plan, kept), kept.join(", "));
    return {};
  },
  wait: async (context) => {
    const ids = parcelsOf(context).map(({ id }) => id);
    const wait = waitFor(context, "the tags to be changed", ids.join(", "), context.timing.resourceMs);
    await poll(wait, async () => ((await stillOurs(context)).length === 0 ? true : undefined));
    return {};
  },
  // Where the one call has taken effect, even on a part alone, there is no way back.
  undo: async (context) => {
    const kept = await stillOurs(context);
    const isDelivered = kept.length < parcelsOf(context).length;
    if (isDelivered && kept.length > 0)
      await context.source.ec2(handOver(context.plan, kept), kept.join(", "));
  },
  findPoint: async (context) => {
    const parcels = parcelsOf(context);
    const isDelivered = parcels.length > 0 && (await stillOurs(context)).length === 0;
    return isDelivered ? context.plan.point : undefined;
  },
};

/** Something to be delivered. */
interface Parcel {
  id: string;
  tags: Tag[];
}

function parcelsOf({ plan, made }: StepContext<RestorePlan>): Parcel[] {
  const ids =
    plan.request.to === "snapshot" ? restoredSnapshotIds(plan, made) : restoredVolumeIds(plan, made);
  const parcels = plan.volumes.flatMap(({ name, tags }) =>
    parcelOf(plan, ids[name], `${plan.point}/${name}`, tags),
  );
  return [...parcels, ...parcelOf(plan, made.instanceId, plan.point, plan.launch?.tags ?? {})];
}

/** @param id undefined where nothing was made yet */
function parcelOf(
  { jobId }: RestorePlan,
  id: string | undefined,
  from: string,
  recorded: Record<string, string>,
): Parcel[] {
  if (id === undefined) return [];
  const tags = { ...recorded, [RESTORED_FROM_TAG]: from, [RESTORED_BY_TAG]: jobId };
  return [{ id, tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }];
}

/** Ids of those that are not delivered; what is not to be seen counts as one of them. */
async function stillOurs(context: StepContext<RestorePlan>): Promise<string[]> {
  const { plan } = context;
  const ids = parcelsOf(context).map(({ id }) => id);
  if (ids.length === 0) return [];
  const found = await describeParcels(context, ids);
  const delivered = found.filter(({ tags }) => isDelivered(plan, tags)).map(({ id }) => id);
  return ids.filter((id) => !delivered.includes(id));
}

function isDelivered({ jobId }: RestorePlan, tags: Tag[]): boolean {
  return tagOf(tags, RESTORED_BY_TAG) === jobId && tagOf(tags, JOB_TAG) === undefined;
}

async function describeParcels({ plan, source }: StepContext<RestorePlan>, ids: string[]): Promise<Parcel[]> {
  const { jobId, request } = plan;
  if (request.to === "snapshot") {
    const place = { party: source, region: plan.source.region, role: "filled" } as const;
    const found = await snapshotKind(place, jobId).describe(ids);
    return found.map(({ SnapshotId = "", Tags = [] }) => ({ id: SnapshotId, tags: Tags }));
  }
  const found = await volumeKind(source, jobId).describe(ids);
  const volumes = found.map(({ VolumeId = "", Tags = [] }) => ({ id: VolumeId, tags: Tags }));
  if (request.to === "volumes") return volumes;
  const instances = await restoredInstanceKind(source, jobId).describe(ids);
  return [...volumes, ...instances.map(({ InstanceId = "", Tags = [] }) => ({ id: InstanceId, tags: Tags }))];
}

function handOver({ jobId }: RestorePlan, Resources: string[]): DeleteTagsCommand {
  const Tags = [
    ...[JOB_TAG, ROLE_TAG, SOURCE_VOLUME_TAG].map((Key) => ({ Key })),
    // The recorded name is left alone.
    { Key: "Name", Value: jobName(jobId) },
  ];
  return new DeleteTagsCommand({ Resources, Tags });
}
