import { machineOf } from "./machine.js";
import type { RecoveryPoint } from "./recovery-point.js";

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
export function describeFilter({ instance, host, volumes = [], tags = {} }: PointFilter): string {
  return [
    ...(instance === undefined ? [] : [` of instance ${instance}`]),
    ...(host === undefined ? [] : [` of host ${host}`]),
    ...volumes.map((volume) => ` with volume ${volume}`),
    ...Object.entries(tags).map(([key, value]) => ` with tag ${key}=${value}`),
  ].join("");
}
