import type { Argv } from "yargs";
import { type Instance, machineName, type RecoveryPoint } from "../repository/format/recovery-point.js";
import { pinOf } from "../repository/open/expectation.js";
import { openRepository } from "../repository/open/repository.js";
import { meetsFilter } from "../repository/points/find-point.js";
import { listPoints } from "../repository/points/points.js";
import { type ChosenPoint, choosePoint } from "./choose-point.js";
import { formatBytes, formatTable } from "./format.js";
import {
  POINT_REFERENCE,
  type PointFilterArguments,
  parsePointFilter,
  pointFilterOptions,
} from "./options.js";
import { EXIT, printError, printNote, printResult } from "./output.js";
import type { ListOutput, ShowOutput } from "./outputs.js";
import type { Command } from "./run-command-line.js";
import { type StorageArguments, storageLocation, storageOptions } from "./storage-options.js";

interface ListArguments extends StorageArguments, PointFilterArguments {
  json: boolean;
}

/** The command that lists recovery points. @param name the command's name in this program */
export const listCommand = (program: string, name: "list" | "points"): Command<ListArguments> => ({
  command: name,
  describe: "List the recovery points, oldest first",
  builder: (parser: Argv) =>
    parser
      .options({ ...storageOptions, ...pointFilterOptions })
      .example(`$0 ${name} --repo /mnt/backup/repo --json`, "for a script") as unknown as Argv<ListArguments>,
  handler: async ({ json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    const filter = parsePointFilter(args);
    const { points: all, damaged, future } = await listPoints(storage);
    const points = all.filter((point) => meetsFilter(point, filter));
    const doubted = [...future.values()];
    const result = {
      ...{ points, damaged: damaged.map((error) => error.toRecord()) },
      future: doubted.map((error) => error.toRecord()),
    };
    const none = all.length === 0 ? "No recovery point yet." : "No such recovery point.";
    printResult<ListOutput>(json, result, points.length === 0 ? [none] : pointTable(points));
    if (!json) for (const { message } of doubted) printNote(message);
    if (damaged.length === 0) return;
    process.exitCode = EXIT.dataDamaged;
    if (!json) for (const error of damaged) printError(error, { program, json: false, verbose: false });
  },
});

function pointTable(points: RecoveryPoint[]): string[] {
  const rows = points.map((point) => [
    point.id,
    machineName(point),
    formatBytes(point.stats.sourceBytes),
    formatBytes(point.stats.storedBytes),
    point.volumes.map(({ name }) => name).join(","),
    Object.entries(point.tags)
      .map(([key, value]) => `${key}=${value}`)
      .join(" "),
  ]);
  return formatTable([["POINT", "MACHINE", "SIZE", "ADDED", "VOLUMES", "TAGS"], ...rows]);
}

interface ShowArguments extends StorageArguments, PointFilterArguments {
  point: string;
  json: boolean;
}

export const showCommand: Command<ShowArguments> = {
  command: "show <point>",
  describe: "Show a recovery point: its volumes, tags and figures, and the pin of its repository",
  builder: (parser: Argv) =>
    parser
      .positional("point", { type: "string", describe: POINT_REFERENCE })
      .options({ ...storageOptions, ...pointFilterOptions })
      .example(
        "$0 show latest --repo /mnt/backup/repo",
        "the newest point, where all are of one machine",
      ) as unknown as Argv<ShowArguments>,
  handler: async ({ point, json, ...args }) => {
    const { config, storage } = await openRepository(storageLocation(args));
    const pin = pinOf(config);
    const filter = parsePointFilter(args);
    const chosen = await choosePoint(storage, point, { filter, json, notice: printNote });
    const { machine, ageSeconds, newerPassedOver, future } = chosen.record;
    const more = { machine, ageSeconds, newerPassedOver, future, pin };
    printResult<ShowOutput>(json, { ...chosen.point, ...more }, describePoint(chosen, pin));
  },
};

function describePoint({ point, origin }: ChosenPoint, pin: string): string[] {
  const { stats, instance } = point;
  const facts = [
    ["Point", point.id],
    ["Machine", origin],
    ["Taken", `${point.startedAt} to ${point.createdAt} on ${point.hostname}`],
    ...(instance === undefined ? [] : describeInstance(instance)),
    ...(point.job === undefined ? [] : [["Job", point.job]]),
    ...Object.entries(point.tags).map(([key, value]) => ["Tag", `${key}=${value}`]),
    ["Source", `${formatBytes(stats.sourceBytes)}, of which ${formatBytes(stats.zeroBytes)} are zeros`],
    ["Known", `${formatBytes(stats.duplicateBytes)} were stored already`],
    ["New", `${formatBytes(stats.newBytes)}, stored in ${formatBytes(stats.storedBytes)}`],
    ["Pin of the repository", pin],
  ];
  const volumes = point.volumes.map((volume) => [
    volume.name,
    `${formatBytes(volume.sizeBytes)} (${volume.sizeBytes} bytes)`,
    volume.source,
    volume.root.slice(0, 16),
  ]);
  const badRanges = point.volumes.flatMap(({ name, badRanges: ranges }) =>
    ranges.map(
      ({ offset, length }) => `Unreadable, kept as zeros: ${length} bytes of ${name} at byte ${offset}`,
    ),
  );
  return [
    ...formatTable(facts),
    "",
    ...formatTable([["VOLUME", "SIZE", "SOURCE", "ROOT"], ...volumes]),
    ...describeEbsVolumes(point),
    ...badRanges,
  ];
}

function describeInstance(instance: Instance): string[][] {
  const { instanceId, instanceType, accountId, availabilityZone, imageId, snapshotTime } = instance;
  return [
    [
      "Instance",
      `${instanceId}, ${instanceType} in ${availabilityZone} of account ${accountId}, made from ${imageId}`,
    ],
    ["As of", snapshotTime],
  ];
}

function describeEbsVolumes({ volumes }: RecoveryPoint): string[] {
  const rows = volumes.flatMap(({ name, ebs }) =>
    ebs === undefined
      ? []
      : [
          [
            name,
            ebs.volumeId,
            ebs.attachName,
            ebs.type,
            String(ebs.iops ?? "-"),
            String(ebs.throughput ?? "-"),
            ebs.kmsKeyId ?? "-",
          ],
        ],
  );
  if (rows.length === 0) return [];
  return ["", ...formatTable([["VOLUME", "EBS", "ATTACHED AS", "TYPE", "IOPS", "MIB/S", "KEY"], ...rows])];
}
