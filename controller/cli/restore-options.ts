import { type StorageArguments, storageOptions } from "../../command-line/storage-options.js";
import { number, text, texts } from "../../command-line/text-option.js";
import type { RestoreRequest } from "../request.js";
import { type AccessArguments, accessOptions, sourceAccess, workerAccess } from "./access-options.js";
import { agentStorage, parseKey, parseRepository, wholeNumber } from "./parse-values.js";
import { parseWorker, refuseContradictions, type WorkerArguments, workerOptions } from "./worker-options.js";

export interface RestoreArguments extends StorageArguments, AccessArguments, WorkerArguments {
  point: string;
  to: RestoreRequest["to"];
  volume: string[] | undefined;
  volumeKey: string | undefined;
  targetKey: string | undefined;
  zone: string | undefined;
  threads: number | undefined;
}

const POINT = "Recovery point:";
const RESTORED = "What is restored:";

export const restoreOptions = {
  ...storageOptions,
  point: {
    ...text(POINT, "point", "Id of the recovery point, the beginning of one, or `latest`"),
    demandOption: true,
  },
  volume: texts(POINT, "volume", "Name of a volume in the point; may be repeated  [default: all]"),
  to: {
    choices: ["volumes", "snapshot"],
    group: RESTORED,
    default: "volumes",
    describe: "What to make: new volumes, attached to nothing, or a snapshot of each",
  },
  "volume-key": text(
    RESTORED,
    "volume-key",
    "ARN of the key of the volumes that the worker fills  [default: default EBS key]",
  ),
  "target-key": text(
    RESTORED,
    "target-key",
    "ARN of the key of what ends up in another account than the worker's  [default: that account's default EBS key]",
  ),
  zone: text(
    RESTORED,
    "zone",
    "Availability Zone of volumes in another account  [default: that of the instance that was backed up]",
  ),
  ...workerOptions,
  ...accessOptions,
  threads: number("Restore:", "threads", "Threads of the agent  [default: one for each core of the worker]"),
} as const;

/** @throws Usage */
export function parseRestoreRequest(args: RestoreArguments): RestoreRequest {
  const request: RestoreRequest = {
    ...{ point: args.point, to: args.to, volumes: args.volume ?? [] },
    ...{ source: sourceAccess(args), worker: workerAccess(args), workerAccount: args.workerAccount },
    workerInstance: parseWorker(args),
    volumeKey: parseKey("volume-key", args.volumeKey),
    ...{ targetKey: parseKey("target-key", args.targetKey), zone: args.zone ?? null },
    repository: parseRepository(args),
    options: { threads: wholeNumber("threads", args.threads, 1, 256), ...agentStorage(args) },
  };
  refuseContradictions(request);
  return request;
}
