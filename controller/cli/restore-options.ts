import { number, POINT_REFERENCE, parseTags, text, texts, usage } from "../../command-line/options.js";
import { type StorageArguments, storageOptions } from "../../command-line/storage-options.js";
import type { PointFilter } from "../../repository/points/find-point.js";
import type { RestoreRequest } from "../plan/request.js";
import { type AccessArguments, accessOptions, sourceAccess, workerAccess } from "./access-options.js";
import { agentStorage, parseKey, parseRepository, wholeNumber } from "./request-options.js";
import {
  parseSigning,
  parseWorker,
  refuseContradictions,
  type WorkerArguments,
  workerOptions,
} from "./worker-options.js";

export interface RestoreRequestArguments extends StorageArguments, AccessArguments, WorkerArguments {
  point: string;
  to: RestoreRequest["to"];
  volume: string[] | undefined;
  instance: string | undefined;
  host: string | undefined;
  pointTag: string[] | undefined;
  volumeKey: string | undefined;
  attachTo: string | undefined;
  targetKey: string | undefined;
  ami: string | undefined;
  instanceType: string | undefined;
  subnet: string | undefined;
  securityGroup: string[] | undefined;
  instanceProfile: string | undefined;
  keyName: string | undefined;
  tag: string[] | undefined;
  zone: string | undefined;
  threads: number | undefined;
}

const POINT = "Recovery point:";
const INSTANCE = "With --to instance:";
const RESTORED = "What is restored:";

export const restoreOptions = {
  ...storageOptions,
  point: {
    ...text(POINT, "point", POINT_REFERENCE),
    demandOption: true,
  },
  volume: texts(POINT, "volume", "Name or EBS id of a volume in the point; may be repeated  [default: all]"),
  instance: text(POINT, "instance", "Points of this EC2 instance alone"),
  host: text(POINT, "host", "Points of this host alone; points of an instance count by the instance"),
  "point-tag": texts(POINT, "point-tag", "Points with this tag, KEY=VALUE; may be repeated"),
  to: {
    choices: ["volumes", "snapshot", "instance"],
    group: RESTORED,
    default: "volumes",
    describe: "Create new volumes, a snapshot of each, or an instance with them",
  },
  "attach-to": text(
    RESTORED,
    "attach-to",
    "Id of an instance that new volumes are attached to  [default: none]",
  ),
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
  ami: text(
    INSTANCE,
    "ami",
    "Image to launch, or `original`; its root volume is replaced  [default: the recorded one, if this account or Amazon owns it]",
  ),
  "instance-type": text(INSTANCE, "instance-type", "Instance type  [default: the recorded one]"),
  subnet: text(INSTANCE, "subnet", "Subnet  [default: the recorded one]"),
  "security-group": texts(
    INSTANCE,
    "security-group",
    "Security group, or `original` for the recorded ones; may be repeated  [default: the default group of the VPC]",
  ),
  "instance-profile": text(
    INSTANCE,
    "instance-profile",
    "Instance profile, name or ARN; `original` for the recorded one, or `none`  [default: none]",
  ),
  "key-name": text(
    INSTANCE,
    "key-name",
    "Key pair; `original` for the recorded one, or `none`  [default: none]",
  ),
  tag: texts(INSTANCE, "tag", "KEY=VALUE beside the recorded tags; may be repeated"),
  ...workerOptions,
  ...accessOptions,
  threads: number("Restore:", "threads", "Threads of the agent  [default: one for each core of the worker]"),
} as const;

/**
 * Parses the command line of a restore.
 * @throws Usage
 */
export function parseRestoreRequest(args: RestoreRequestArguments): RestoreRequest {
  const request: RestoreRequest = {
    ...{ point: args.point, to: args.to, volumes: args.volume ?? [] },
    ...{ source: sourceAccess(args), worker: workerAccess(args), workerAccount: args.workerAccount },
    ...{ workerInstance: parseWorker(args), ...parseSigning(args) },
    volumeKey: parseKey("volume-key", args.volumeKey),
    ...{ targetKey: parseKey("target-key", args.targetKey), zone: args.zone ?? null },
    ...{ attachTo: args.attachTo ?? null, launch: parseLaunch(args) },
    repository: parseRepository(args),
    options: { threads: wholeNumber("threads", args.threads, 1, 256), ...agentStorage(args) },
  };
  refuseContradictions(request);
  if (request.attachTo !== null && request.to !== "volumes")
    throw usage("--attach-to goes with --to volumes.", "Leave one of them out.");
  return request;
}

/**
 * Returns the filter for recovery points.
 * @throws Usage
 */
export function parseRestoreFilter({ instance, host, pointTag }: RestoreRequestArguments): PointFilter {
  return { instance, host, tags: parseTags(pointTag ?? [], "point-tag") };
}

const LAUNCH_OPTIONS = {
  ...{ ami: "ami", instanceType: "instance-type", subnet: "subnet", securityGroup: "security-group" },
  ...{ instanceProfile: "instance-profile", keyName: "key-name", tag: "tag" },
} as const;

function parseLaunch(args: RestoreRequestArguments): RestoreRequest["launch"] {
  if (args.to !== "instance") {
    const names = Object.keys(LAUNCH_OPTIONS) as (keyof typeof LAUNCH_OPTIONS)[];
    const given = names.find((name) => args[name] !== undefined);
    if (given === undefined) return null;
    throw usage(`--${LAUNCH_OPTIONS[given]} goes with --to instance.`, "Give that too, or leave it out.");
  }
  return {
    ...{ imageId: args.ami ?? null, instanceType: args.instanceType ?? null, subnetId: args.subnet ?? null },
    ...{ securityGroupIds: args.securityGroup ?? null, profile: args.instanceProfile ?? null },
    ...{ keyName: args.keyName ?? null, tags: parseTags(args.tag ?? []) },
  };
}
