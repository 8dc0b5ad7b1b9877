import { type LockArguments, lockOptions } from "../../command-line/lock-options.js";
import { proveKnownOption, threadsOrAutoOption } from "../../command-line/options.js";
import { type StorageArguments, storageOptions } from "../../command-line/storage-options.js";
import { number, text, texts } from "../../command-line/text-option.js";
import { type AccessArguments, accessOptions } from "./access-options.js";
import { VOLUME_TYPES, type VolumeKind } from "./volume-kind.js";
import { type WorkerArguments, workerOptions } from "./worker-options.js";

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
