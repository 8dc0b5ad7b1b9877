import { BlockferryError } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import { machineName, machineOf, pointIdOf, pointKey, type RecoveryPoint } from "../format/recovery-point.js";
import { undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage, StoredObject } from "../storage/storage.js";
import { futureDate, secondOf } from "./point-dates.js";
import { pointObjects, pointsNewestFirst, readPoint } from "./points.js";

interface FindPointOptions {
  filter?: PointFilter;
  /**
   * Gets the errors of points newer than `latest` that were passed over: they may belong to the same machine.
   */
  onPassedOver?: (errors: BlockferryError[]) => void;
  /** Gets the reason why the date of a point named by its id cannot be right. */
  onFuture?: (error: BlockferryError) => void;
}

/**
 * Finds the point for an id, the prefix of an id, or `latest`. `latest` is the newest point of one machine.
 * If the filter names a machine, points are read from the newest to the first match; otherwise all of them
 * are read.
 * @throws PointNotFound; PointAmbiguous when `latest` could mean several machines; ObjectCorrupt,
 * RepositoryUnsupported when the point exists but cannot be used
 */
export async function findPoint(
  storage: Storage,
  reference: string,
  options: FindPointOptions = {},
): Promise<RecoveryPoint> {
  if (reference === "latest") return findLatest(storage, options);
  const { filter = {}, onFuture = () => undefined } = options;
  const objects = await objectsOf(storage, reference);
  if (objects.length === 0) throw noSuchPoint(storage, `There is no recovery point ${reference}`);
  const isAmbiguous = objects.length > 1 && describeFilter(filter) === "";
  if (isAmbiguous) throw manyBegin(storage, reference, objects.length);
  let found: { point: RecoveryPoint; future: BlockferryError | undefined } | undefined;
  for (const { key, ...stored } of objects) {
    const read = await undefinedIfAbsent(() => readPoint(storage, key));
    const point = read?.point;
    if (point === undefined || !meetsFilter(point, filter)) continue;
    if (found !== undefined) throw manyBegin(storage, reference, objects.length);
    found = { point, future: futureDate(point.id, stored) };
  }
  if (found === undefined)
    throw noSuchPoint(storage, `There is no recovery point ${reference}${describeFilter(filter)}`);
  if (found.future !== undefined) onFuture(found.future);
  return found.point;
}

/**
 * Returns the id of the point for an id or a prefix. The point itself may be unreadable.
 * @throws PointNotFound
 */
export async function findPointId(storage: Storage, reference: string): Promise<string> {
  const [object, ...others] = await objectsOf(storage, reference);
  if (object === undefined) throw noSuchPoint(storage, `There is no recovery point ${reference}`);
  if (others.length > 0) throw manyBegin(storage, reference, others.length + 1);
  return pointIdOf(object.key);
}

/** Returns the points whose ids start with the reference; only the exact match, if there is one. */
async function objectsOf(storage: Storage, reference: string): Promise<StoredObject[]> {
  const objects = await pointObjects(storage);
  const same = objects.find(({ key }) => key === pointKey(reference));
  if (same !== undefined) return [same];
  return reference === "" ? [] : objects.filter(({ key }) => pointIdOf(key).startsWith(reference));
}

async function findLatest(
  storage: Storage,
  { filter = {}, onPassedOver = () => undefined }: FindPointOptions,
): Promise<RecoveryPoint> {
  const passedOver: BlockferryError[] = [];
  const newest = new Map<string, RecoveryPoint>();
  const isOfOneMachine = filter.instance !== undefined || filter.host !== undefined;
  for await (const point of pointsNewestFirst(storage, (error) => passedOver.push(error))) {
    const [first] = newest.values();
    if (isOfOneMachine && first !== undefined && secondOf(point.id) < secondOf(first.id)) break;
    if (!meetsFilter(point, filter)) continue;
    const other = newest.get(machineName(point));
    if (other === undefined || point.createdAt > other.createdAt) newest.set(machineName(point), point);
  }
  const [latest, ...others] = newest.values();
  const [damage] = passedOver;
  if (latest === undefined && damage !== undefined && describeFilter(filter) === "") throw damage;
  const newer = passedOver.filter(({ object = "" }) => latest === undefined || object > pointKey(latest.id));
  // An intact point of a later format: an older point in its place would surprise the user.
  const laterVersion = newer.find(({ code }) => code === "RepositoryUnsupported");
  if (laterVersion !== undefined) throw laterVersion;
  if (newer.length > 0) onPassedOver(newer);
  if (latest === undefined) throw noSuchPoint(storage, `There is no recovery point${describeFilter(filter)}`);
  if (others.length > 0) throw ambiguous(storage, [latest, ...others]);
  return latest;
}

/** Machines or ids that an error lists. */
const MAX_LISTED = 20;

function ambiguous(storage: Storage, points: RecoveryPoint[]): BlockferryError {
  const left = points.length - MAX_LISTED;
  const machines = points.map(machineOf);
  const options = [
    ...(machines.some((machine) => "instance" in machine) ? ["--instance ID"] : []),
    ...(machines.some((machine) => "host" in machine) ? ["--host NAME"] : []),
  ].join(" or ");
  return new BlockferryError({
    code: "PointAmbiguous",
    message: `The latest recovery point could be of ${points.length} machines in ${storage.name}. The newest point of each:`,
    details: [
      ...points.slice(0, MAX_LISTED).map((point) => `${machineName(point)}: ${point.id}`),
      ...(left > 0 ? [`... and of ${left} more machines`] : []),
    ],
    remedy: `Name the machine with ${options}, or give the id of a point.`,
  });
}

function manyBegin(storage: Storage, reference: string, count: number): BlockferryError {
  return noSuchPoint(storage, `${count} recovery points start with ${reference}`);
}

function noSuchPoint(storage: Storage, message: string): BlockferryError {
  return new BlockferryError({
    code: "PointNotFound",
    message: `${message} in ${storage.name}.`,
    remedy: `List the recovery points: blockferry-agent list --repo ${shellWord(storage.name)}`,
  });
}

/** A filter for points: a point must meet all given conditions. */
export interface PointFilter {
  /** Id of the EC2 instance in the point. */
  instance?: string | undefined;
  /** Host name in a point that is not a backup of an instance. */
  host?: string | undefined;
  /** Volumes in the point: names, or ids of EBS volumes. */
  volumes?: readonly string[] | undefined;
  /** Tags of the point, with these values. */
  tags?: Readonly<Record<string, string>> | undefined;
}

export function meetsFilter(point: RecoveryPoint, filter: PointFilter): boolean {
  const machine = machineOf(point);
  const { instance, host, volumes = [], tags = {} } = filter;
  return (
    (instance === undefined || ("instance" in machine && machine.instance === instance)) &&
    (host === undefined || ("host" in machine && machine.host === host)) &&
    volumes.every((wanted) => point.volumes.some((volume) => isVolume(volume, wanted))) &&
    Object.entries(tags).every(([key, value]) => Object.hasOwn(point.tags, key) && point.tags[key] === value)
  );
}

/** Returns whether a volume has this name, or is the EBS volume with this id. */
export function isVolume({ name, ebs }: RecoveryPoint["volumes"][number], wanted: string): boolean {
  return name === wanted || ebs?.volumeId === wanted;
}

/** Returns, for example, ` of instance i-0123 with tag env=production`; empty without conditions. */
function describeFilter({ instance, host, volumes = [], tags = {} }: PointFilter): string {
  return [
    ...(instance === undefined ? [] : [` of instance ${instance}`]),
    ...(host === undefined ? [] : [` of host ${host}`]),
    ...volumes.map((volume) => ` with volume ${volume}`),
    ...Object.entries(tags).map(([key, value]) => ` with tag ${key}=${value}`),
  ].join("");
}
