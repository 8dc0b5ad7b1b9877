import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { EXIT } from "../../command-line/exit-codes.js";
import { formatBytes } from "../../command-line/format.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository, type Repository } from "../../repository/repository.js";
import { findPointLosses, type PointLosses } from "../repair/point-losses.js";
import { type IndexRepair, planIndexRepair, repairIndex } from "../repair/repair-index.js";
import { progressWatcher } from "./progress.js";
import { interruptSignal } from "./signals.js";

interface RepairArguments extends StorageArguments {
  what: "index" | "points";
  dryRun: boolean;
  json: boolean;
}

export const repairCommand: Command<RepairArguments> = {
  command: "repair <what>",
  describe: "Write the index anew from the packs, or say what exactly recovery points have lost",
  builder: (parser: Argv) =>
    parser
      .positional("what", {
        choices: ["index", "points"],
        describe: "index: rebuild it from packs alone; points: name every lost byte, and change nothing",
      })
      .options({
        ...storageOptions,
        "dry-run": { type: "boolean", default: false, describe: "Only say what would be done" },
      })
      .example(
        "$0 repair index --repo repo",
        "after segments were damaged or packs lost; safe while backups run",
      )
      .example(
        "$0 repair points --repo repo",
        "which bytes of which volumes cannot be restored",
      ) as unknown as Argv<RepairArguments>,
  handler: async (args) => {
    const signal = interruptSignal();
    const repository = await openRepository(storageLocation(args), signal);
    if (args.what === "index") await index(repository, args, signal);
    else await points(repository, args, signal);
  },
};

async function index(repository: Repository, { dryRun, json }: RepairArguments, signal: AbortSignal) {
  const repair = await (dryRun ? planIndexRepair(repository, signal) : repairIndex(repository, signal));
  if (repair.damaged.length > 0) process.exitCode = EXIT.dataDamaged;
  const result = {
    ...{ dryRun, ...repair },
    replaced: repair.replaced.map((error) => error.toRecord()),
    damaged: repair.damaged.map(({ error, ...chunks }) => ({ ...error.toRecord(), ...chunks })),
  };
  const text = describeIndex(repair);
  printResult(json, result, dryRun ? `Nothing was changed. A repair now:\n${text}` : text);
}

function describeIndex({ replaced, missing, damaged, ...repair }: IndexRepair): string {
  return [
    `The index lists ${repair.packs} packs with ${repair.chunks} chunks in ${repair.segments} new segments; ${repair.segmentsRemoved} old ones are removed.`,
    ...(repair.unlisted === 0 ? [] : [`  ${repair.unlisted} packs had not been listed.`]),
    ...replaced.map(({ message }) => `  replaced: ${message}`),
    ...missing.map((id) => `  missing: pack ${id} was listed and is gone.`),
    ...damaged.map(({ error, chunksKept, chunksLost }) => {
      const lost = chunksLost === null ? "an unknown number is lost" : `${chunksLost} are lost`;
      return `  DAMAGED: ${error.message} ${chunksKept} of its chunks can still be read, ${lost}.`;
    }),
    ...(missing.length + damaged.length === 0
      ? []
      : ["`blockferry-agent repair points` says what that means for recovery points."]),
  ].join("\n");
}

async function points(repository: Repository, { json }: RepairArguments, signal: AbortSignal) {
  const losses = await findPointLosses(repository, { watcher: progressWatcher(json), signal });
  const { incomplete, unreadable } = losses;
  if (incomplete.length + unreadable.length > 0) process.exitCode = EXIT.dataDamaged;
  const result = { ...losses, unreadable: unreadable.map((error) => error.toRecord()) };
  printResult(json, result, describePoints(losses));
}

function describePoints({ whole, incomplete, unreadable }: PointLosses): string {
  return [
    ...incomplete.flatMap(({ id, volumes }) => [
      `Recovery point ${id} is INCOMPLETE:`,
      ...volumes.flatMap(({ name, sizeBytes, lostBytes, lost }) => [
        `  ${name}: ${formatBytes(lostBytes)} of ${formatBytes(sizeBytes)} are lost`,
        ...lost.map(({ offset, length }) => `    ${length} bytes at byte ${offset}`),
      ]),
    ]),
    ...unreadable.map(({ message, remedy }) => `${message}\n    ${remedy}`),
    `${whole.length} recovery points are whole.`,
    ...(incomplete.length === 0
      ? []
      : [
          "The next backup of a source that still has the lost data makes these points whole again; so does bringing the packs back from a replica.",
          "Until then `blockferry-agent restore --allow-missing` restores the rest of them.",
        ]),
  ].join("\n");
}
