import { parseLock } from "../../command-line/lock-options.js";
import { parseTags, usage } from "../../command-line/options.js";
import { toLockRecord } from "../../repository/storage/object-lock.js";
import type { BackupRequest } from "../request.js";
import { sourceAccess, workerAccess } from "./access-options.js";
import { agentStorage, parseKey, parseRepository, wholeNumber } from "./parse-values.js";
import type { RequestArguments } from "./request-options.js";
import { parseSigning } from "./signing-options.js";
import { parseVolumeKind } from "./volume-kind.js";
import { parseWorker, refuseContradictions } from "./worker-options.js";

/**
 * Parses the command line of a backup.
 * @throws Usage
 */
export function parseRequest(args: RequestArguments): BackupRequest {
  if (!/^i-[0-9a-f]{8,17}$/.test(args.instance)) {
    throw usage(
      `--instance ${args.instance} is no instance id.`,
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
