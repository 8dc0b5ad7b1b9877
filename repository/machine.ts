import type { RecoveryPoint } from "./recovery-point.js";

/** The machine of a point, as the point names it: an EC2 instance, or else a host. */
export type Machine = { instance: string } | { host: string };

/**
 * Returns the machine of a point. Points of jobs count by their instance,
 * since their host name is the worker's.
 */
export function machineOf({ instance, hostname }: Pick<RecoveryPoint, "instance" | "hostname">): Machine {
  return instance === undefined ? { host: hostname } : { instance: instance.instanceId };
}

/** Returns `instance i-0123456789abcdef0` or `host web1`: equal only for points of one machine. */
export function machineName(point: Pick<RecoveryPoint, "instance" | "hostname">): string {
  const machine = machineOf(point);
  return "instance" in machine ? `instance ${machine.instance}` : `host ${machine.host}`;
}
