import { type LockArguments, lockOptions, parseLock } from "../../command-line/lock-options.js";
import {
  checkWholeNumber,
  number,
  parseTags,
  proveKnownOption,
  text,
  texts,
  threadsOrAutoOption,
  usage,
} from "../../command-line/options.js";
import {
  allowsInsecureHttp,
  type StorageArguments,
  storageChoices,
  storageOptions,
} from "../../command-line/storage-options.js";
import { KMS_ARN, KMS_KEY_ARN } from "../../repository/encryption/kms.js";
import { toLockRecord } from "../../repository/format/recovery-point.js";
import type { StorageChoices } from "../../repository/storage/storage-choices.js";
import type { BackupRequest, JobRequest } from "../plan/request.js";
import { type AccessArguments, accessOptions, sourceAccess, workerAccess } from "./access-options.js";
import {
  parseSigning,
  parseWorker,
  refuseContradictions,
  type WorkerArguments,
  workerOptions,
} from "./worker-options.js";

/** Type and performance of the temporary volumes. */
interface VolumeKind {
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
      `Volumes of type ${volumeType} need a number of IOPS.`,
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
    `--${name} does not apply to volumes of type ${type}.`,
    `Leave it out, or give --volume-type ${takers.join(" or ")}.`,
  );
}

export interface RequestArguments extends StorageArguments, AccessArguments, WorkerArguments, LockArguments {
  instance: string;
  volumeKey: string | undefined;
  bridgeKey: string | undefined;
  excludeVolume: string[] | undefined;
  excludeRoot: boolean;
  volumeType: VolumeKind["volumeType"];
  iops: number | undefined;
  throughput: number | undefined;
  initializationRate: number | undefined;
  keepSnapshot: boolean;
  compression: "lz4" | "none";
  threads: number | "auto" | undefined;
  queueDepth: number | undefined;
  skipBadBlocks: boolean;
  proveKnown: number | "new-packs" | undefined;
  tag: string[] | undefined;
  report: string | undefined;
}

const VOLUMES = "Volumes and keys:";
const AGENT = "Backup:";

export const requestOptions = {
  ...storageOptions,
  instance: {
    ...text("Instance:", "instance", "Id of the instance to be backed up"),
    demandOption: true,
  },
  "exclude-volume": texts("Instance:", "exclude-volume", "Id of a volume to be left out; may be repeated"),
  "exclude-root": {
    type: "boolean",
    group: "Instance:",
    default: false,
    describe: "Leave the root volume out",
  },
  ...workerOptions,
  ...accessOptions,
  "volume-key": text(
    VOLUMES,
    "volume-key",
    "ARN of the key of the temporary volumes  [default: default EBS key]",
  ),
  "bridge-key": text(VOLUMES, "bridge-key", "ARN of a key for copies of snapshots that cannot be shared"),
  "volume-type": {
    ...text(VOLUMES, "volume-type", "Type of the temporary volumes"),
    choices: VOLUME_TYPES,
    default: "gp3",
  },
  iops: number(
    VOLUMES,
    "iops",
    "IOPS of each temporary volume; gp3, io1 and io2 take it, the latter two need it",
  ),
  throughput: number(VOLUMES, "throughput", "MiB/s of each temporary volume; gp3 alone takes it"),
  "initialization-rate": number(
    VOLUMES,
    "initialization-rate",
    "MiB/s at which EBS loads each volume from its snapshot, 100 to 300; costs extra",
  ),
  "keep-snapshot": {
    type: "boolean",
    group: VOLUMES,
    default: false,
    describe: "Keep the snapshots of the instance's volumes after success",
  },
  compression: {
    choices: ["lz4", "none"],
    group: AGENT,
    default: "lz4",
    describe: "How new chunks are stored",
  },
  threads: {
    ...threadsOrAutoOption,
    group: AGENT,
    describe:
      "Threads of the agent, or `auto`, which measures volumes and cores first  [default: one for each core of the worker]",
  },
  "queue-depth": number(AGENT, "queue-depth", "Reads that each of the agent's threads keeps in flight"),
  "skip-bad-blocks": {
    type: "boolean",
    group: AGENT,
    default: false,
    describe: "Keep blocks that cannot be read as zeros, and record them in the point",
  },
  "prove-known": { ...proveKnownOption, group: AGENT },
  tag: texts(AGENT, "tag", "KEY=VALUE kept in the point; may be repeated"),
  report: text(
    AGENT,
    "report",
    "HTML file for a report: a map of each volume, and where the agent's time went",
  ),
  ...lockOptions,
} as const;

/**
 * Parses the command line of a backup.
 * @throws Usage
 */
export function parseRequest(args: RequestArguments): BackupRequest {
  if (!/^i-[0-9a-f]{8,17}$/.test(args.instance)) {
    throw usage(
      `--instance ${args.instance} is not an instance id.`,
      "Write, say, --instance i-0123456789abcdef0",
    );
  }
  const lock = parseLock(args);
  const request: BackupRequest = {
    instanceId: args.instance,
    source: sourceAccess(args),
    worker: workerAccess(args),
    workerInstance: parseWorker(args),
    workerAccount: args.workerAccount,
    ...parseSigning(args),
    ...{
      volumeKey: parseKey("volume-key", args.volumeKey),
      bridgeKey: parseKey("bridge-key", args.bridgeKey),
    },
    excludedVolumes: args.excludeVolume ?? [],
    root: args.excludeRoot ? "excluded" : "included",
    ...parseVolumeKind(args),
    initializationRateMibps: wholeNumber("initialization-rate", args.initializationRate, 100, 300),
    snapshots: args.keepSnapshot ? "keep" : "delete",
    repository: parseRepository(args),
    options: {
      compression: args.compression,
      threads: args.threads ?? null,
      queueDepth: wholeNumber("queue-depth", args.queueDepth, 1, 256),
      badBlocks: args.skipBadBlocks ? "skip" : "fail",
      ...(args.proveKnown === undefined ? {} : { proveKnown: args.proveKnown }),
      ...(lock === undefined ? {} : { lock: toLockRecord(lock) }),
      ...agentStorage(args),
      ...(args.report === undefined ? {} : { report: true }),
    },
    tags: parseTags(args.tag ?? []),
  };
  refuseContradictions(request);
  return request;
}

export function parseKey(name: string, key: string | undefined): string | null {
  if (key === undefined) return null;
  if (KMS_ARN.test(key)) return key;
  throw usage(
    `--${name} ${key} is not the ARN of a KMS key.`,
    "Write, say, arn:aws:kms:eu-central-1:111111111111:key/...",
  );
}

export function wholeNumber(
  name: string,
  value: number | undefined,
  min: number,
  max: number,
): number | null {
  return value === undefined ? null : checkWholeNumber(name, value, min, max);
}

/**
 * Returns the storage options for the agent.
 * They travel with the job, because the command line of the agent does not set them for this backup.
 */
export function agentStorage(args: StorageArguments): { storage?: StorageChoices } {
  const storage = storageChoices(args);
  const kmsKey = storage.encryption?.kmsKey;
  // KMS resolves an alias in the account of the caller, and controller and agent may be in two accounts.
  if (kmsKey !== undefined && !KMS_KEY_ARN.test(kmsKey)) {
    throw usage(
      `--sse-kms-key ${kmsKey} is not the ARN of a KMS key itself.`,
      "Write, say, arn:aws:kms:eu-central-1:111111111111:key/..., which is the same key for the controller and the agent.",
    );
  }
  return Object.keys(storage).length === 0 ? {} : { storage };
}

/** Returns the repository's location for a launched worker, which gets credentials from its role. */
export function parseRepository(args: StorageArguments): JobRequest["repository"] {
  return {
    repo: args.repo,
    ...(args.region === undefined ? {} : { region: args.region }),
    ...(args.endpointUrl === undefined ? {} : { endpointUrl: args.endpointUrl }),
    ...(args.forcePathStyle === true ? { forcePathStyle: true as const } : {}),
    ...(args.bucketOwner === undefined ? {} : { bucketOwner: args.bucketOwner }),
    ...(allowsInsecureHttp(args) ? { allowInsecureHttp: true as const } : {}),
  };
}
