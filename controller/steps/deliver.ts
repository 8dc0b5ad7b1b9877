import { CreateTagsCommand, DeleteTagsCommand, type Tag } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { use } from "../aws/action-use.js";
import { restoredInstanceKind } from "../aws/instances.js";
import {
  JOB_TAG,
  jobName,
  RESTORED_BY_TAG,
  RESTORED_FROM_TAG,
  ROLE_TAG,
  Sightings,
  SOURCE_VOLUME_TAG,
  tagOf,
} from "../aws/job-resources.js";
import { poll, waitFor } from "../aws/poll.js";
import { snapshotKind } from "../aws/snapshots.js";
import { volumeKind } from "../aws/volumes.js";
import type { RestorePlan } from "../plan/plan.js";
import { DELIVERY, restoredIds, type Step, type StepContext } from "./step.js";

/**
 * Hands the restored resources to their owner.
 * Until here they carry the tag of the job, as every temporary resource does, and are removed with it. One
 * call removes the tag from all resources, so a restore is delivered completely or not at all. The tags in
 * AWS show which, whenever the run ends.
 */
export const deliver: Step<RestorePlan> = {
  name: DELIVERY,
  title: "Handing over the restored resources",
  makes: "tags that record the origin, in place of the job's tag: resources with them are no longer removed",
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
    await handOverAll(context);
    return {};
  },
  wait: async () => ({}),
  // Nothing can be undone once the call has taken effect, even on some resources only: see `findPoint`.
  undo: async () => undefined,
  mustUndoFirst: true,
  findPoint: async (context) => {
    const { plan, delivered } = context;
    if (delivered.size > 0) return plan.point;
    if (!(await hasStarted(context))) return undefined;
    await handOverAll(context);
    return plan.point;
  },
};

/**
 * Hands over the resources that still carry the job's tag.
 * Waits until EC2 shows all of them with their owner's tags. Resources that the owner has removed by then do
 * not count.
 * @throws AwsResourceNotFound when a resource is gone before any was handed over; WaitTimedOut
 */
async function handOverAll(context: StepContext<RestorePlan>): Promise<void> {
  const { plan, source, timing } = context;
  const sightings = new Sightings(timing.visibleMs);
  const labelled = new Set<string>();
  const object = parcelsOf(context)
    .map(({ id }) => id)
    .join(", ");
  await poll(waitFor(context, "the tags to be changed", object, timing.resourceMs), async () => {
    const { ours, handedOver, unseen } = await lookAtParcels(context);
    for (const { id } of [...ours, ...handedOver]) sightings.isGone(id, true);
    const gone = unseen.filter(({ id }) => sightings.isGone(id, false));
    if (gone.length > 0 && handedOver.length === 0) throw vanished(plan, gone);
    if (gone.length < unseen.length) return undefined;
    if (ours.length === 0) return true;
    for (const { id, tags } of ours.filter((parcel) => !labelled.has(parcel.id))) {
      await source.ec2(new CreateTagsCommand({ Resources: [id], Tags: tags }), id);
      labelled.add(id);
    }
    const ids = ours.map(({ id }) => id);
    await source.ec2(handOver(plan, ids), ids.join(", "));
    return undefined;
  });
}

/**
 * Returns whether any resource has been handed over.
 * Waits until recent changes are visible, because tags that were just changed may not show yet.
 */
async function hasStarted(context: StepContext<RestorePlan>): Promise<boolean> {
  const ids = parcelsOf(context).map(({ id }) => id);
  if (ids.length === 0) return false;
  const { timing, visibleBy } = context;
  const timeoutMs = timing.visibleMs + timing.resourceMs;
  return poll(waitFor(context, "the tags to be visible", ids.join(", "), timeoutMs), async () => {
    const isVisible = performance.now() >= visibleBy;
    const { handedOver } = await lookAtParcels(context);
    return handedOver.length > 0 || (isVisible ? false : undefined);
  });
}

function vanished({ point }: RestorePlan, gone: Parcel[]): BlockferryError {
  const ids = gone.map(({ id }) => id).join(", ");
  return new BlockferryError({
    code: "AwsResourceNotFound",
    message: `${ids}, restored from ${point}, vanished before the handover.`,
    remedy: "Find out in CloudTrail who or what removed it, then restore again.",
    object: ids,
  });
}

function handOver({ jobId }: RestorePlan, Resources: string[]): DeleteTagsCommand {
  const Tags = [
    ...[JOB_TAG, ROLE_TAG, SOURCE_VOLUME_TAG].map((Key) => ({ Key })),
    // With its value, so that the recorded Name tag stays.
    { Key: "Name", Value: jobName(jobId) },
  ];
  return new DeleteTagsCommand({ Resources, Tags });
}

/** A resource that is to be delivered, with its final tags. */
interface Parcel {
  id: string;
  tags: Tag[];
}

/** Returns the resources that a restore delivers, as far as they exist. */
function parcelsOf({ plan, made }: StepContext<RestorePlan>): Parcel[] {
  const ids = restoredIds(plan, made);
  const parcels = plan.volumes.flatMap(({ name, tags }) =>
    parcelOf(plan, ids[name], `${plan.point}/${name}`, tags),
  );
  return [...parcels, ...parcelOf(plan, made.instanceId, plan.point, plan.launch?.tags ?? {})];
}

/** @param id undefined while the resource does not exist */
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

/** The state of the parcels, as EC2 shows it. */
interface ParcelsSeen {
  /** Parcels that still carry the job's tag. */
  ours: Parcel[];
  handedOver: Parcel[];
  /** Parcels that EC2 does not show at the moment, or that are gone. */
  unseen: Parcel[];
}

async function lookAtParcels(context: StepContext<RestorePlan>): Promise<ParcelsSeen> {
  const parcels = parcelsOf(context);
  const ids = parcels.map(({ id }) => id);
  const found = new Map((await describeParcels(context, ids)).map(({ id, tags }) => [id, tags]));
  const isHandedOver = ({ id }: Parcel) => isDelivered(context.plan, found.get(id) ?? []);
  return {
    ours: parcels.filter((parcel) => found.has(parcel.id) && !isHandedOver(parcel)),
    handedOver: parcels.filter(isHandedOver),
    unseen: parcels.filter(({ id }) => !found.has(id)),
  };
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

function isDelivered({ jobId }: RestorePlan, tags: Tag[]): boolean {
  return tagOf(tags, RESTORED_BY_TAG) === jobId && tagOf(tags, JOB_TAG) === undefined;
}
