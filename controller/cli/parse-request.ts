import { checkWholeNumber, parseTags, usage } from "../../command-line/options.js";
import { storageChoices } from "../../command-line/storage-options.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";
import type { StorageChoices } from "../../repository/storage/storage-choices.js";
import type { BackupRequest, WorkerRequest } from "../request.js";
import { sourceAccess, workerAccess } from "./access-options.js";
import type { RequestArguments } from "./request-options.js";
import { parseVolumeKind } from "./volume-kind.js";

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
    ...parseVolumeKind(args),
    initializationRateMibps: wholeNumber("initialization-rate", args.initializationRate, 100, 300),
    snapshots: args.keepSnapshot ? "keep" : "delete",
    repository: parseRepository(args),
    options: {
      compression: args.compression,
      threads: wholeNumber("threads", args.threads, 1, 256),
      queueDepth: wholeNumber("queue-depth", args.queueDepth, 1, 256),
      badBlocks: args.skipBadBlocks ? "skip" : "fail",
      ...agentStorage(args),
    },
    tags: parseTags(args.tag ?? []),
  };
  refuseContradictions(request);
  return request;
}

function refuseContradictions(request: BackupRequest): void {
  const { workerAccount, worker, workerInstance, repository } = request;
  if (workerInstance.kind === "launch" && parseStorageLocation(repository.repo).kind === "directory") {
    throw usage(
      `A launched worker cannot reach ${repository.repo}: that is a directory of this machine.`,
      "Give --repo s3://BUCKET/PREFIX, or --worker with an instance that has the directory.",
    );
  }
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

/** What the agent is told of how to write the repository; its own command line knows nothing of this backup's. */
function agentStorage(args: RequestArguments): { storage?: StorageChoices } {
  const storage = storageChoices(args);
  const kmsKey = storage.encryption?.kmsKey;
  // KMS looks an alias up in the account of whoever names it, and controller and agent may have two.
  if (kmsKey !== undefined && !/^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key\/.+$/.test(kmsKey)) {
    throw usage(
      `--sse-kms-key ${kmsKey} is no ARN of a KMS key itself.`,
      "Write, say, arn:aws:kms:eu-central-1:111111111111:key/..., which means the same key for controller and agent.",
    );
  }
  return Object.keys(storage).length === 0 ? {} : { storage };
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
