import type { Argv } from "yargs";
import { machineName } from "../repository/machine.js";
import { meetsFilter } from "../repository/point-filter.js";
import { listPoints, type RecoveryPoint } from "../repository/recovery-point.js";
import { openRepository } from "../repository/repository.js";
import type { Command } from "./command.js";
import { EXIT } from "./exit-codes.js";
import { formatBytes, formatTable } from "./format.js";
import { printError, printNote, printResult } from "./output.js";
import { type PointFilterArguments, parsePointFilter, pointFilterOptions } from "./point-options.js";
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
    printResult(json, result, points.length === 0 ? [none] : pointTable(points));
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
