import type { Tag } from "@aws-sdk/client-ec2";
import { restoredInstanceKind } from "../aws/instances.js";
import { snapshotKind } from "../aws/snapshots.js";
import { JOB_TAG, RESTORED_BY_TAG, RESTORED_FROM_TAG, tagOf } from "../aws/tags.js";
import { volumeKind } from "../aws/volumes.js";
import type { RestorePlan } from "../plan.js";
import { restoredIds } from "../restored.js";
import type { StepContext } from "./step.js";

/** A resource that is to be delivered, with its final tags. */
export interface Parcel {
  id: string;
  tags: Tag[];
}

/** Returns the resources that a restore delivers, as far as they exist. */
export function parcelsOf({ plan, made }: StepContext<RestorePlan>): Parcel[] {
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
export interface ParcelsSeen {
  /** Parcels that still carry the job's tag. */
  ours: Parcel[];
  handedOver: Parcel[];
  /** Parcels that EC2 does not show at the moment, or that are gone. */
  unseen: Parcel[];
}

export async function lookAtParcels(context: StepContext<RestorePlan>): Promise<ParcelsSeen> {
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
