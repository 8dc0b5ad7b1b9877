import type { Argv } from "yargs";
import { listPoints, type RecoveryPoint } from "../repository/recovery-point.js";
import { openRepository } from "../repository/repository.js";
import type { Command } from "./command.js";
import { EXIT } from "./exit-codes.js";
import { formatBytes, formatTable } from "./format.js";
import { printError, printResult } from "./output.js";
import { type StorageArguments, storageLocation, storageOptions } from "./storage-options.js";

interface ListArguments extends StorageArguments {
  json: boolean;
}

/** @param name what the program calls it */
export const listCommand = (program: string, name: "list" | "points"): Command<ListArguments> => ({
  command: name,
  describe: "List the recovery points, oldest first",
  builder: (parser: Argv) =>
    parser
      .options({ ...storageOptions })
      .example(`$0 ${name} --repo /mnt/backup/repo --json`, "for a script") as unknown as Argv<ListArguments>,
  handler: async ({ json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    const { points, damaged } = await listPoints(storage);
    const result = { points, damaged: damaged.map((error) => error.toRecord()) };
    printResult(json, result, points.length === 0 ? "No recovery point yet." : pointTable(points));
    if (damaged.length === 0) return;
    process.exitCode = EXIT.dataDamaged;
    if (!json) for (const error of damaged) printError(error, { program, json: false, verbose: false });
  },
});

function pointTable(points: RecoveryPoint[]): string {
  const rows = points.map((point) => [
    point.id,
    point.hostname,
    formatBytes(point.stats.sourceBytes),
    formatBytes(point.stats.storedBytes),
    point.volumes.map(({ name }) => name).join(","),
    Object.entries(point.tags)
      .map(([key, value]) => `${key}=${value}`)
      .join(" "),
  ]);
  return formatTable([["POINT", "HOST", "SIZE", "ADDED", "VOLUMES", "TAGS"], ...rows]);
}
