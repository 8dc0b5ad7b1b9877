import { checkWholeNumber, usage } from "../../command-line/options.js";

/** Type and performance of the temporary volumes. */
export interface VolumeKind {
  volumeType: VolumeType;
  iops: number | null;
  /** In MiB/s. */
  throughputMibps: number | null;
}

export const VOLUME_TYPES = ["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] as const;
type VolumeType = (typeof VOLUME_TYPES)[number];

type Range = readonly [least: number, most: number];

/**
 * The allowed values of each volume type; `required` means that IOPS must be given.
 * EC2's dry run checks the limits that depend on the size.
 * AWS: "Amazon EBS volume types", https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
 */
const RANGES: Record<VolumeType, { iops?: Range; throughput?: Range; required?: true }> = {
  gp3: { iops: [3000, 80_000], throughput: [125, 2000] },
  gp2: {},
  io1: { iops: [100, 64_000], required: true },
  io2: { iops: [100, 256_000], required: true },
  st1: {},
  sc1: {},
  standard: {},
};

/** @throws Usage when the options contradict each other */
export function parseVolumeKind(args: {
  volumeType: VolumeType;
  iops: number | undefined;
  throughput: number | undefined;
}): VolumeKind {
  const { volumeType } = args;
  const { iops, throughput, required } = RANGES[volumeType];
  if (required && args.iops === undefined) {
    throw usage(
      `Volumes of type ${volumeType} must be told their IOPS.`,
      `Give --iops ${iops?.[0]} to ${iops?.[1]}, or another --volume-type.`,
    );
  }
  return {
    volumeType,
    iops: inRange("iops", args.iops, volumeType, iops),
    throughputMibps: inRange("throughput", args.throughput, volumeType, throughput),
  };
}

function inRange(
  name: "iops" | "throughput",
  value: number | undefined,
  type: VolumeType,
  range: Range | undefined,
): number | null {
  if (value === undefined) return null;
  if (range !== undefined) return checkWholeNumber(name, value, ...range);
  const takers = VOLUME_TYPES.filter((other) => RANGES[other][name] !== undefined);
  throw usage(
    `--${name} is nothing that volumes of type ${type} can be told.`,
    `Leave it out, or give --volume-type ${takers.join(" or ")}.`,
  );
}
