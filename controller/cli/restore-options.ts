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
    choices: ["volumes"],
    group: RESTORED,
    default: "volumes",
    describe: "What to make: new volumes, detached",
  },
  "volume-key": text(
    RESTORED,
    "volume-key",
    "ARN of the key of the volumes that the worker fills  [default: default EBS key]",
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
    repository: parseRepository(args),
    options: { threads: wholeNumber("threads", args.threads, 1, 256), ...agentStorage(args) },
  };
  refuseContradictions(request);
  return request;
}
