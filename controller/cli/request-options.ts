import { checkWholeNumber, parseTags, usage } from "../../command-line/options.js";
import { type StorageArguments, storageOptions } from "../../command-line/storage-options.js";
import type { BackupRequest, WorkerRequest } from "../request.js";
import { type AccessArguments, accessOptions, sourceAccess, workerAccess } from "./access-options.js";
import { number, text, texts } from "./text-option.js";

export interface RequestArguments extends StorageArguments, AccessArguments {
  instance: string;
  worker: string | undefined;
  workerAmi: string | undefined;
  workerSubnet: string | undefined;
  workerType: string | undefined;
  workerProfile: string | undefined;
  workerSecurityGroup: string[] | undefined;
  workerAccount: "source" | "worker";
  volumeKey: string | undefined;
  bridgeKey: string | undefined;
  excludeVolume: string[] | undefined;
  excludeRoot: boolean;
  volumeType: string;
  iops: number | undefined;
  throughput: number | undefined;
  initializationRate: number | undefined;
  keepSnapshot: boolean;
  compression: "lz4" | "none";
  threads: number | undefined;
  queueDepth: number | undefined;
  skipBadBlocks: boolean;
  tag: string[] | undefined;
}

const WORKER = "Worker:";
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
  worker: text(WORKER, "worker", "Id of a running instance with `blockferry-agent serve`"),
  "worker-ami": text(
    WORKER,
    "worker-ami",
    "Instead: launch a worker of this image, and terminate it at the end",
  ),
  "worker-subnet": text(
    WORKER,
    "worker-subnet",
    "Subnet of a launched worker; decides its Availability Zone",
  ),
  "worker-type": text(WORKER, "worker-type", "Instance type of a launched worker"),
  "worker-profile": text(WORKER, "worker-profile", "Instance profile (name or ARN) of a launched worker"),
  "worker-security-group": texts(
    WORKER,
    "worker-security-group",
    "Security group of a launched worker; may be repeated  [default: the VPC's]",
  ),
  "worker-account": {
    choices: ["source", "worker"],
    group: WORKER,
    default: "worker",
    describe: "Whose account the worker is in; `source` needs no sharing",
  },
  ...accessOptions,
  "volume-key": text(
    VOLUMES,
    "volume-key",
    "ARN of the key of the temporary volumes  [default: default EBS key]",
  ),
  "bridge-key": text(VOLUMES, "bridge-key", "ARN of a key for copies of snapshots that cannot be shared"),
  "volume-type": { ...text(VOLUMES, "volume-type", "Type of the temporary volumes"), default: "gp3" },
  iops: number(VOLUMES, "iops", "IOPS of each temporary volume"),
  throughput: number(VOLUMES, "throughput", "MiB/s of each temporary volume"),
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
  threads: number(AGENT, "threads", "Threads of the agent  [default: one for each core of the worker]"),
  "queue-depth": number(AGENT, "queue-depth", "Reads that each of the agent's threads keeps in flight"),
  "skip-bad-blocks": {
    type: "boolean",
    group: AGENT,
    default: false,
    describe: "Keep blocks that cannot be read as zeros, and record them in the point",
  },
  tag: texts(AGENT, "tag", "KEY=VALUE kept in the point; may be repeated"),
} as const;

/** @throws Usage */
export function parseRequest(args: RequestArguments): BackupRequest {
  if (!/^i-[0-9a-f]{8,17}$/.test(args.instance)) {
    throw usage(
      `--instance ${args.instance} is no instance id.`,
      "Write, say, --instance i-0123456789abcdef0",
    );
  }
  const request: BackupRequest = {
    instanceId: args.instance,
    source: sourceAccess(args),
    worker: workerAccess(args),
    workerInstance: parseWorker(args),
    workerAccount: args.workerAccount,
    ...{
      volumeKey: parseKey("volume-key", args.volumeKey),
      bridgeKey: parseKey("bridge-key", args.bridgeKey),
    },
    excludedVolumes: args.excludeVolume ?? [],
    root: args.excludeRoot ? "excluded" : "included",
    volumeType: args.volumeType,
    iops: wholeNumber("iops", args.iops, 100, 256_000),
    throughputMibps: wholeNumber("throughput", args.throughput, 125, 2000),
    initializationRateMibps: wholeNumber("initialization-rate", args.initializationRate, 100, 300),
    snapshots: args.keepSnapshot ? "keep" : "delete",
    repository: parseRepository(args),
    options: {
      compression: args.compression,
      threads: wholeNumber("threads", args.threads, 1, 256),
      queueDepth: wholeNumber("queue-depth", args.queueDepth, 1, 256),
      badBlocks: args.skipBadBlocks ? "skip" : "fail",
    },
    tags: parseTags(args.tag ?? []),
  };
  refuseContradictions(request);
  return request;
}

function refuseContradictions({ workerAccount, worker }: BackupRequest): void {
  if (workerAccount === "source" && (worker.profile !== null || worker.roleArn !== null)) {
    throw usage(
      "With --worker-account source the instance's account serves for the worker, too.",
      "Leave --worker-aws-profile and --worker-role out, or leave --worker-account out.",
    );
  }
}

const LAUNCH_OPTIONS = ["workerAmi", "workerSubnet", "workerType", "workerProfile"] as const;

function parseWorker(args: RequestArguments): WorkerRequest {
  const given = [...LAUNCH_OPTIONS, "workerSecurityGroup" as const].filter(
    (name) => args[name] !== undefined,
  );
  if (args.worker !== undefined) {
    if (given.length === 0) return { kind: "existing", instanceId: args.worker };
    throw usage(
      "--worker names a running worker, and the options for launching one are given too.",
      "Give --worker alone, or --worker-ami with its companions.",
    );
  }
  const { workerAmi, workerSubnet, workerType, workerProfile } = args;
  if (!workerAmi || !workerSubnet || !workerType || !workerProfile) {
    throw usage(
      "No worker is named.",
      "Give --worker i-..., or all of --worker-ami, --worker-subnet, --worker-type and --worker-profile to launch one.",
    );
  }
  return {
    kind: "launch",
    ...{ imageId: workerAmi, subnetId: workerSubnet, instanceType: workerType, profile: workerProfile },
    securityGroupIds: args.workerSecurityGroup ?? [],
  };
}

function parseKey(name: string, key: string | undefined): string | null {
  if (key === undefined) return null;
  if (/^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:(key|alias)\/.+$/.test(key)) return key;
  throw usage(
    `--${name} ${key} is no ARN of a KMS key.`,
    "Write, say, arn:aws:kms:eu-central-1:111111111111:key/...",
  );
}

function wholeNumber(name: string, value: number | undefined, min: number, max: number): number | null {
  return value === undefined ? null : checkWholeNumber(name, value, min, max);
}

/** A launched worker finds the repository with this, and credentials with its role. */
function parseRepository(args: RequestArguments): BackupRequest["repository"] {
  return {
    repo: args.repo,
    ...(args.region === undefined ? {} : { region: args.region }),
    ...(args.endpointUrl === undefined ? {} : { endpointUrl: args.endpointUrl }),
    ...(args.forcePathStyle === true ? { forcePathStyle: true as const } : {}),
  };
}
