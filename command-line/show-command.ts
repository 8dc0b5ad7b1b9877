import type { Argv } from "yargs";
import type { Instance } from "../repository/instance.js";
import { findPoint, type RecoveryPoint } from "../repository/recovery-point.js";
import { openRepository } from "../repository/repository.js";
import type { Command } from "./command.js";
import { formatBytes, formatTable } from "./format.js";
import { printResult } from "./output.js";
import { type StorageArguments, storageLocation, storageOptions } from "./storage-options.js";

interface ShowArguments extends StorageArguments {
  point: string;
  json: boolean;
}

export const showCommand: Command<ShowArguments> = {
  command: "show <point>",
  describe: "Show a recovery point: its volumes, tags and figures",
  builder: (parser: Argv) =>
    parser
      .positional("point", { type: "string", describe: "Id, the beginning of one, or `latest`" })
      .options({ ...storageOptions })
      .example("$0 show latest --repo /mnt/backup/repo", "the newest one") as unknown as Argv<ShowArguments>,
  handler: async ({ point, json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    const found = await findPoint(storage, point);
    printResult(json, found, describePoint(found));
  },
};

function describePoint(point: RecoveryPoint): string {
  const { stats, instance } = point;
  const facts = [
    ["Point", point.id],
    ["Taken", `${point.startedAt} to ${point.createdAt} on ${point.hostname}`],
    ...(instance === undefined ? [] : describeInstance(instance)),
    ...(point.job === undefined ? [] : [["Job", point.job]]),
    ...Object.entries(point.tags).map(([key, value]) => ["Tag", `${key}=${value}`]),
    ["Source", `${formatBytes(stats.sourceBytes)}, of which ${formatBytes(stats.zeroBytes)} are zeros`],
    ["Known", `${formatBytes(stats.duplicateBytes)} were stored already`],
    ["New", `${formatBytes(stats.newBytes)}, stored in ${formatBytes(stats.storedBytes)}`],
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
    formatTable(facts),
    "",
    formatTable([["VOLUME", "SIZE", "SOURCE", "ROOT"], ...volumes]),
    ...describeEbsVolumes(point),
    ...badRanges,
  ].join("\n");
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
  return ["", formatTable([["VOLUME", "EBS", "ATTACHED AS", "TYPE", "IOPS", "MIB/S", "KEY"], ...rows])];
}
