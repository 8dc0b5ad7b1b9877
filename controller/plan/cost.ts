import type { Plan, PlannedVolume } from "./plan.js";
import { isBridged, ROUTE_TABLE } from "./route.js";

/** The cost of one kind of temporary resource while all resources of that kind exist. */
interface CostPart {
  what: "volumes" | "snapshots" | "copies" | "worker-root";
  count: number;
  sizeGib: number;
  usdPerHour: number;
}

export interface CostEstimate {
  parts: CostPart[];
  /** The sum of the parts. */
  usdPerHour: number;
  /** Monthly cost of the snapshots that are kept. */
  keptSnapshotsUsdPerMonth: number;
  notIncluded: string[];
}

const GIB = 1024 ** 3;
/** Hours in a month, as in the EBS pricing examples: https://aws.amazon.com/ebs/pricing/ */
const HOURS_PER_MONTH = 30 * 24;

/**
 * List prices in us-east-1, in USD a month, without volume discounts.
 * They serve an estimate, not a bill; other Regions differ.
 * https://aws.amazon.com/ebs/pricing/
 */
const SNAPSHOT_USD_PER_GIB = 0.05;
const USD_PER_GIB: Record<string, number> = {
  ...{ gp3: 0.08, gp2: 0.1, io1: 0.125, io2: 0.125 },
  ...{ st1: 0.045, sc1: 0.015, standard: 0.05 },
};
const USD_PER_IOPS: Record<string, number> = { gp3: 0.005, io1: 0.065, io2: 0.065 };
const GP3_USD_PER_MIBPS = 0.04;
/** Performance that the price per GiB of gp3 includes. */
const GP3_FREE = { iops: 3000, throughputMibps: 125 };

/**
 * Estimates the highest cost of the temporary resources.
 * A snapshot counts with the full size of its volume, because the used or already stored part is unknown.
 */
export function estimateCost(plan: Plan): CostEstimate {
  const { volumes, route, request, workerRoot } = plan;
  const { workerCopies } = ROUTE_TABLE[route];
  const copied = volumes.filter(({ key }) => workerCopies || isBridged(route, key));
  const snapshotUsd = sizeOf(volumes) * SNAPSHOT_USD_PER_GIB;
  const parts = [
    part("snapshots", volumes.length, sizeOf(volumes), snapshotUsd),
    part("copies", copied.length, sizeOf(copied), sizeOf(copied) * SNAPSHOT_USD_PER_GIB),
    part("volumes", volumes.length, sizeOf(volumes), volumesUsd(plan)),
    ...(workerRoot?.sizeGib
      ? [part("worker-root", 1, workerRoot.sizeGib, workerRoot.sizeGib * (USD_PER_GIB.gp3 ?? 0))]
      : []),
  ].filter(({ count }) => count > 0);
  return {
    parts,
    usdPerHour: rounded(parts.reduce((sum, { usdPerHour }) => sum + usdPerHour, 0)),
    keptSnapshotsUsdPerMonth: request.snapshots === "keep" ? rounded(snapshotUsd) : 0,
    notIncluded: notIncluded(plan),
  };
}

/** Returns the cost of all volumes for a month, in USD. */
function volumesUsd({ volumes, request }: Plan): number {
  const { volumeType, iops, throughputMibps } = request;
  const paidIops = Math.max(0, (iops ?? 0) - (volumeType === "gp3" ? GP3_FREE.iops : 0));
  const paidMibps = Math.max(0, (throughputMibps ?? 0) - GP3_FREE.throughputMibps);
  const performance = paidIops * (USD_PER_IOPS[volumeType] ?? 0) + paidMibps * GP3_USD_PER_MIBPS;
  return sizeOf(volumes) * (USD_PER_GIB[volumeType] ?? 0) + volumes.length * performance;
}

function part(what: CostPart["what"], count: number, sizeGib: number, usdPerMonth: number): CostPart {
  return { what, count, sizeGib, usdPerHour: rounded(usdPerMonth / HOURS_PER_MONTH) };
}

function notIncluded({ request, source, worker }: Plan): string[] {
  const { workerInstance, initializationRateMibps } = request;
  return [
    workerInstance.kind === "launch" ? `the instance (${workerInstance.instanceType})` : "the worker",
    ...(source.region === worker.region ? [] : ["the transfer between Regions"]),
    ...(initializationRateMibps === null ? [] : ["the initialization rate, for each GiB of snapshot"]),
    "the repository's storage and requests",
    // A few requests for each volume, at 0.03 USD for 10,000.
    "requests to KMS, which are negligible",
  ];
}

function sizeOf(volumes: PlannedVolume[]): number {
  return volumes.reduce((sum, { origin }) => sum + Math.ceil(origin.sizeBytes / GIB), 0);
}

/** Rounds to a ten-thousandth of a cent; further digits are floating-point noise. */
function rounded(usd: number): number {
  return Number(usd.toFixed(6));
}
