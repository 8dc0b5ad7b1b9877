import { existsSync } from "node:fs";
import type { Argv } from "yargs";
import { formatBytes, formatSeconds } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { type LockArguments, lockOptions, parseLock } from "../../command-line/lock-options.js";
import {
  once,
  parseTags,
  proveKnownOption,
  repeated,
  threadsOrAutoOption,
  usage,
} from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { ByteRange } from "../../native-free-io/data-ranges.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { Reliance } from "../../repository/jobs/job-replies.js";
import { openRepository } from "../../repository/open/repository.js";
import type { DeviceRequest } from "../backup/plan-volumes.js";
import type { ProveKnown } from "../backup/relied-on.js";
import { reportedBackup } from "../report/backup-report.js";
import { DEFAULT_QUEUE_DEPTH } from "../tune/parallelism.js";
import { chosenParallelism, refuseParallelism } from "../tune/tune.js";
import { ReadRecord } from "../verify/read-record.js";
import {
  beginReport,
  type MetricsArguments,
  metricsOptions,
  type ReportArguments,
  reportOption,
  withMetrics,
} from "./output-options.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface BackupArguments extends StorageArguments, MetricsArguments, ReportArguments, LockArguments {
  device: string[];
  threads: number | "auto" | undefined;
  queueDepth: number | undefined;
  compression: Compression;
  tag: string[] | undefined;
  skipBadBlocks: boolean;
  proveKnown: ProveKnown | undefined;
  json: boolean;
}

export const backupCommand: Command<BackupArguments> = {
  command: "backup",
  describe: "Back up block devices or image files into one recovery point",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        ...reportOption,
        device: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          coerce: repeated("device"),
          describe: "PATH[=NAME] of a device or file, and its volume's name; may be repeated",
        },
        threads: threadsOrAutoOption,
        "queue-depth": {
          type: "number",
          requiresArg: true,
          coerce: once("queue-depth"),
          describe: `Reads that each thread keeps in flight  [default: ${DEFAULT_QUEUE_DEPTH}, fewer with very many threads]`,
        },
        compression: {
          choices: ["lz4", "none"],
          default: "lz4",
          coerce: once("compression"),
          describe: "How new chunks are stored",
        },
        tag: {
          type: "string",
          requiresArg: true,
          coerce: repeated("tag"),
          describe: "KEY=VALUE kept in the point; may be repeated",
        },
        "skip-bad-blocks": {
          type: "boolean",
          default: false,
          describe: "Keep blocks that cannot be read as zeros, and record them in the point",
        },
        "prove-known": proveKnownOption,
        ...lockOptions,
      })
      .example("$0 backup --repo /mnt/backup/repo --device /dev/nvme1n1", "one volume")
      .example(
        "$0 backup --repo repo --device /dev/nvme1n1=root --device /dev/nvme2n1=data --tag env=prod",
        "two volumes at once, named and tagged",
      ) as unknown as Argv<BackupArguments>,
  handler: (args) =>
    withMetrics("backup", args, async (meter) => {
      refuseParallelism(args);
      const devices = args.device.map(parseDevice);
      const tags = parseTags(args.tag ?? []);
      const lock = parseLock(args);
      const watcher = meter.watch(progressWatcher(args.json));
      const report = await beginReport(args, watcher.notice);
      const location = storageLocation(args);
      meter.countRetries(location);
      const signal = interruptSignal();
      const repository = await openRepository(location, signal);
      const parallelism = await chosenParallelism(args, {
        devices: devices.map(({ path }) => path),
        storage: repository.storage,
        notice: watcher.notice,
        signal,
      });
      const reporting = { report, meter };
      const record = await ReadRecord.load(repository);
      const { point, reliance, seconds } = await reportedBackup(repository, reporting, {
        ...{ devices, ...parallelism, tags, lock, compression: args.compression, watcher, signal },
        badBlocks: args.skipBadBlocks ? "skip" : "fail",
        ...{ proveKnown: args.proveKnown, hasRead: (id: string) => record.hasRead(id) },
      });
      const result = { point: point.id, seconds, stats: point.stats, volumes: point.volumes, reliance };
      printResult<AgentOutput<"backup">>(args.json, result, describeBackup(point, reliance, seconds));
    }),
};

function totalLength(ranges: ByteRange[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

/** Parses PATH[=NAME]. A path that exists is a path, even with `=` in it. */
function parseDevice(device: string): DeviceRequest {
  const equals = device.lastIndexOf("=");
  if (equals < 0 || existsSync(device)) return { path: device, name: undefined };
  const name = device.slice(equals + 1);
  if (equals === 0 || !/^[^/=\s]+$/.test(name)) {
    throw usage(
      `--device ${device} names neither a path nor PATH=NAME.`,
      "Names have no slash, equals sign or white space, as in --device /dev/nvme1n1=root",
    );
  }
  return { path: device.slice(0, equals), name };
}

function describeBackup(
  { id, stats, volumes, lock }: RecoveryPoint,
  { unreadBytes, provenBytes, storedAgainBytes }: Reliance,
  seconds: number,
): string[] {
  const bad = totalLength(volumes.flatMap(({ badRanges }) => badRanges));
  return [
    `Recovery point ${id}`,
    `  read     ${formatBytes(stats.sourceBytes)} in ${formatSeconds(seconds)} (${formatBytes(stats.sourceBytes / seconds)}/s)`,
    `  zeros    ${formatBytes(stats.zeroBytes)}`,
    `  known    ${formatBytes(stats.duplicateBytes)}`,
    ...(unreadBytes > 0
      ? [`  relies   on ${formatBytes(unreadBytes)} in packs that no verify of this machine has read`]
      : []),
    ...(provenBytes > 0 ? [`  proven   ${formatBytes(provenBytes)} of the data that it relies on`] : []),
    ...(storedAgainBytes > 0
      ? [
          `  WRONG    ${formatBytes(storedAgainBytes)} in the repository, stored again; run: blockferry-agent verify --read-data`,
        ]
      : []),
    `  new      ${formatBytes(stats.newBytes)}, stored in ${formatBytes(stats.storedBytes)}`,
    ...(lock === undefined ? [] : [`  locked   until ${lock.until} (${lock.mode})`]),
    ...(bad > 0 ? [`  UNREADABLE ${formatBytes(bad)}, kept as zeros; see: blockferry-agent show ${id}`] : []),
  ];
}
