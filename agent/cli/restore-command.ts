import type { Argv } from "yargs";
import { type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { formatBytes, formatSeconds } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import {
  chooseThreads,
  once,
  POINT_REFERENCE,
  type PointFilterArguments,
  parsePointFilter,
  pointFilterOptions,
  repeated,
  threadsOption,
  usage,
} from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { openRepository } from "../../repository/open/repository.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import { type LostRange, type RestoreOptions, restore } from "../restore/restore.js";
import { type MetricsArguments, metricsOptions, withMetrics } from "./output-options.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface RestoreArguments extends StorageArguments, PointFilterArguments, MetricsArguments {
  point: string;
  target: string[];
  threads: number | undefined;
  force: boolean;
  allowMissing: boolean;
  json: boolean;
}

export const restoreCommand: Command<RestoreArguments> = {
  command: "restore",
  describe: "Restore volumes of a recovery point to devices or files",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        point: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          coerce: once("point"),
          describe: POINT_REFERENCE,
        },
        ...pointFilterOptions,
        target: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          coerce: repeated("target"),
          describe: "[NAME=]PATH of a device or file for a volume; may be repeated",
        },
        threads: threadsOption,
        force: {
          type: "boolean",
          default: false,
          describe:
            "Overwrite a file that holds data, or a device that holds a file system, partitions or similar",
        },
        "allow-missing": {
          type: "boolean",
          default: false,
          describe:
            "Restore the rest of a damaged point: lost data become zeros, each range is reported, exit code 3",
        },
      })
      .example(
        "$0 restore --repo repo --point latest --target disk.img",
        "a point of one volume, to a sparse file",
      )
      .example(
        "$0 restore --repo repo --point 20261123T1121 --target root=/dev/nvme3n1 --target data=data.img",
        "two volumes, to a device and a file",
      )
      .example(
        "$0 restore --repo repo --point latest --target disk.img --allow-missing",
        "what is left after packs were lost",
      ) as unknown as Argv<RestoreArguments>,
  handler: (args) =>
    withMetrics("restore", args, async (meter) => {
      const threads = chooseThreads(args.threads);
      const filter = parsePointFilter(args);
      const signal = interruptSignal();
      const location = storageLocation(args);
      meter.countRetries(location);
      const repository = await openRepository(location, signal);
      const watcher = meter.watch(progressWatcher(args.json));
      const started = performance.now();
      const { chosen, targets, lost, notes } = await withReadLease(
        repository.storage,
        { watcher, signal },
        async () => {
          const { notice } = watcher;
          const storage = repository.storage.until(signal);
          const chosen = await choosePoint(storage, args.point, { filter, json: args.json, notice });
          const targets = chooseTargets(chosen.point, args.target);
          const { lost, notes } = await restore(repository, {
            ...{ targets, threads, watcher, signal },
            existing: args.force ? "replace" : "refuse",
            missing: args.allowMissing ? "zeros" : "refuse",
          });
          return { chosen, targets, lost, notes };
        },
      );
      const seconds = (performance.now() - started) / 1000;
      const volumes = targets.map(({ volume, path }) => ({ ...volume, target: path }));
      const lostOf = (name?: string) =>
        lost.reduce(
          (sum, { volume, length }) => sum + (name === undefined || volume === name ? length : 0),
          0,
        );
      meter.volumes = volumes.map(({ name, sizeBytes }) => ({
        name,
        sizeBytes,
        unreadableBytes: lostOf(name),
      }));
      meter.figures.lostBytes = lostOf();
      if (lost.length > 0) {
        process.exitCode = EXIT.dataDamaged;
        meter.problem = "ChunkMissing";
      }
      const result = { point: chosen.point.id, recoveryPoint: chosen.record, seconds, volumes, lost, notes };
      printResult<AgentOutput<"restore">>(
        args.json,
        result,
        describeRestore(chosen, targets, { seconds, lost }),
      );
    }),
};

/**
 * Returns the target of each volume. `NAME=` is optional if there is one volume; names and paths may contain
 * `=`.
 */
function chooseTargets(point: RecoveryPoint, wanted: string[]): RestoreOptions["targets"] {
  const targets = wanted.map((text) => {
    const named = point.volumes
      .filter(({ name }) => text.startsWith(`${name}=`))
      .toSorted((a, b) => b.name.length - a.name.length)[0];
    if (named !== undefined) return { volume: named, path: pathAfter(text, named.name.length) };
    const [only] = point.volumes;
    const namesAVolume = /^[^/=]+=/.test(text);
    if (point.volumes.length === 1 && only !== undefined && !namesAVolume)
      return { volume: only, path: text };
    const names = point.volumes.map(({ name }) => name).join(", ");
    throw usage(
      `--target ${text} does not say which volume it is for; recovery point ${point.id} has ${names}.`,
      "Write NAME=PATH, once for each volume to restore. A path that starts with a name and `=` is written ./NAME=...",
    );
  });
  const names = targets.map(({ volume }) => volume.name);
  const twice = names.find((name, number) => names.indexOf(name) !== number);
  if (twice !== undefined) throw usage(`Volume ${twice} has two targets.`, "Give each volume one --target.");
  return targets;
}

function pathAfter(text: string, equals: number): string {
  if (text.length > equals + 1) return text.slice(equals + 1);
  throw usage(`--target ${text} has no path.`, "Write NAME=PATH.");
}

function describeRestore(
  { point, origin }: ChosenPoint,
  targets: RestoreOptions["targets"],
  { seconds, lost }: { seconds: number; lost: LostRange[] },
): string[] {
  const bytes = targets.reduce((sum, { volume }) => sum + volume.sizeBytes, 0);
  const lostBytes = lost.reduce((sum, { length }) => sum + length, 0);
  return [
    ...(lost.length === 0
      ? []
      : [`INCOMPLETE: ${formatBytes(lostBytes)} are lost and were replaced by zeros.`]),
    `Restored recovery point ${point.id} in ${formatSeconds(seconds)} (${formatBytes(bytes / seconds)}/s)`,
    `  of ${origin}`,
    ...targets.flatMap(({ volume, path }) => [
      `  ${volume.name} (${formatBytes(volume.sizeBytes)}) to ${path}`,
      ...volume.badRanges.map(
        ({ offset, length }) =>
          `    zeros, because the source could not be read: ${length} bytes at byte ${offset}`,
      ),
      ...lost
        .filter((range) => range.volume === volume.name)
        .map(({ offset, length }) => `    LOST, replaced by zeros: ${length} bytes at byte ${offset}`),
    ]),
  ];
}
