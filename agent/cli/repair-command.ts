import type { Argv } from "yargs";
import { formatBytes } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { usage } from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { packIdOf, packKey } from "../../repository/format/pack.js";
import { openRepository, type Repository } from "../../repository/open/repository.js";
import {
  type DocumentRepair,
  findPointLosses,
  type PointLosses,
  planDocumentRepair,
  repairDocuments,
} from "../maintenance/repair-documents.js";
import { type IndexRepair, planIndexRepair, repairIndex } from "../maintenance/repair-index.js";
import { type PackRepair, planPackRepair, repairPacks } from "../maintenance/repair-packs.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface RepairArguments extends StorageArguments {
  what: "index" | "packs" | "points" | "documents";
  packs: string[];
  dryRun: boolean;
  json: boolean;
}

export const repairCommand: Command<RepairArguments> = {
  command: "repair <what> [packs..]",
  describe:
    "Rebuild the index, replace damaged packs, move damaged documents aside, or report the lost data of recovery points",
  builder: (parser: Argv) =>
    parser
      .positional("what", {
        choices: ["index", "packs", "points", "documents"],
        describe:
          "index: rebuild it from the packs alone; packs: replace the named packs with their intact chunks; points: name every lost byte, and change nothing; documents: move aside leases, condemnations and points that cannot be read",
      })
      .positional("packs", {
        type: "string",
        array: true,
        default: [],
        describe: "Ids or keys of damaged packs, as verify names them",
      })
      .options({
        ...storageOptions,
        "dry-run": { type: "boolean", default: false, describe: "Only report what would be done" },
      })
      .example(
        "$0 repair index --repo repo",
        "after segments were damaged or packs lost; safe while backups run",
      )
      .example(
        "$0 repair packs 00112233445566778899aabbccddeeff --repo repo",
        "save what is left of a damaged pack",
      )
      .example("$0 repair points --repo repo", "which bytes of which volumes cannot be restored")
      .example(
        "$0 repair documents --repo repo --dry-run",
        "which documents below locks/, prune/ and points/ are damaged",
      ) as unknown as Argv<RepairArguments>,
  handler: async (args) => {
    const ids = parsePacks(args);
    const signal = interruptSignal();
    const repository = await openRepository(storageLocation(args), signal);
    if (args.what === "index") await index(repository, args, signal);
    else if (args.what === "packs") await packs(repository, { ...args, ids }, signal);
    else if (args.what === "points") await points(repository, args, signal);
    else await documents(repository, args, signal);
  },
};

/**
 * Returns the ids of the named packs.
 * @throws Usage
 */
function parsePacks({ what, packs }: RepairArguments): string[] {
  if ((what === "packs") !== packs.length > 0) {
    throw usage(
      what === "packs" ? "No pack is named." : `\`repair ${what}\` takes no packs.`,
      "Write `repair packs ID...` with the packs that `verify --read-data` reports as damaged.",
    );
  }
  return packs.map((name) => {
    const id = packIdOf(name) ?? name;
    if (packIdOf(packKey(id)) === undefined) throw usage(`${name} is not a pack.`, "Give its id or key.");
    return id;
  });
}

async function index(repository: Repository, { dryRun, json }: RepairArguments, signal: AbortSignal) {
  const repair = await (dryRun ? planIndexRepair(repository, signal) : repairIndex(repository, signal));
  if (repair.damaged.length > 0) process.exitCode = EXIT.dataDamaged;
  const result = {
    ...{ dryRun, ...repair },
    replaced: repair.replaced.map((error) => error.toRecord()),
    damaged: repair.damaged.map(({ error, ...chunks }) => ({ ...error.toRecord(), ...chunks })),
  };
  const lines = describeIndex(repair);
  printResult<AgentOutput<"repair index">>(
    json,
    result,
    dryRun ? ["Nothing was changed. A repair now:", ...lines] : lines,
  );
}

async function packs(
  repository: Repository,
  { dryRun, json, ids }: RepairArguments & { ids: string[] },
  signal: AbortSignal,
) {
  const repair = dryRun ? planPackRepair : repairPacks;
  const repairs = await repair(repository, ids, signal);
  if (repairs.some(({ chunksLost }) => chunksLost !== 0)) process.exitCode = EXIT.dataDamaged;
  printResult<AgentOutput<"repair packs">>(json, { dryRun, packs: repairs }, describePacks(repairs, dryRun));
}

async function points(repository: Repository, { json }: RepairArguments, signal: AbortSignal) {
  const losses = await findPointLosses(repository, { watcher: progressWatcher(json), signal });
  const { incomplete, unreadable } = losses;
  if (incomplete.length + unreadable.length > 0) process.exitCode = EXIT.dataDamaged;
  const result = { ...losses, unreadable: unreadable.map((error) => error.toRecord()) };
  printResult<AgentOutput<"repair points">>(json, result, describePoints(losses));
}

async function documents(repository: Repository, { dryRun, json }: RepairArguments, signal: AbortSignal) {
  const repair = await (dryRun
    ? planDocumentRepair(repository, signal)
    : repairDocuments(repository, signal));
  const result = {
    dryRun,
    moved: repair.moved.map(({ error, from, to }) => ({ from, to, ...error.toRecord() })),
    left: repair.left.map((error) => error.toRecord()),
  };
  printResult<AgentOutput<"repair documents">>(json, result, describeDocuments(repair, dryRun));
}

function describeIndex({ replaced, missing, damaged, ...repair }: IndexRepair): string[] {
  return [
    `The index lists ${repair.packs} packs with ${repair.chunks} chunks in ${repair.segments} new segments; ${repair.segmentsRemoved} old ones are removed.`,
    ...(repair.unlisted === 0 ? [] : [`  ${repair.unlisted} packs were not listed before.`]),
    ...replaced.map(({ message }) => `  replaced: ${message}`),
    ...missing.map((id) => `  missing: pack ${id} was listed, but is gone.`),
    ...damaged.map(({ error, chunksKept, chunksLost }) => {
      const lost = chunksLost === null ? "an unknown number is lost" : `${chunksLost} are lost`;
      return `  DAMAGED: ${error.message} ${chunksKept} of its chunks can still be read, ${lost}.`;
    }),
    ...(missing.length + damaged.length === 0
      ? []
      : ["`blockferry-agent repair points` reports the lost data of recovery points."]),
  ];
}

function describePacks(repairs: PackRepair[], isDryRun: boolean): string[] {
  return [
    ...(isDryRun ? ["Nothing was changed. A repair now:"] : []),
    ...repairs.map(
      ({ id, chunksKept, chunksLost }) =>
        `Pack ${id} is replaced by a pack with ${chunksKept} of its chunks; ${chunksLost ?? "an unknown number"} are lost.`,
    ),
    "`blockferry-agent repair points` reports the lost data of recovery points.",
  ];
}

function describePoints({ whole, incomplete, unreadable }: PointLosses): string[] {
  return [
    ...incomplete.flatMap(({ id, volumes }) => [
      `Recovery point ${id} is INCOMPLETE:`,
      ...volumes.flatMap(({ name, sizeBytes, lostBytes, lost }) => [
        `  ${name}: ${formatBytes(lostBytes)} of ${formatBytes(sizeBytes)} are lost`,
        ...lost.map(({ offset, length }) => `    ${length} bytes at byte ${offset}`),
      ]),
    ]),
    ...unreadable.flatMap(({ message, remedy }) => [message, `    ${remedy}`]),
    `${whole.length} recovery points are whole.`,
    ...(incomplete.length === 0
      ? []
      : [
          "The next backup of a source that still has the lost data makes these points whole again; so does restoring the packs from a replica.",
          "Until then `blockferry-agent restore --allow-missing` restores the rest of them.",
        ]),
  ];
}

function describeDocuments({ moved, left }: DocumentRepair, isDryRun: boolean): string[] {
  const movesPoint = moved.some(({ from }) => from.startsWith("points/"));
  return [
    ...(isDryRun ? ["Nothing was changed. A repair now:"] : []),
    ...moved.flatMap(({ error, from, to }) => [`${from} is moved to ${to}.`, `  ${error.message}`]),
    ...left.flatMap(({ object, message, remedy }) => [
      `${object} is left where it is: its checksum is right, so a later version may have written it.`,
      `  ${message}`,
      `  ${remedy}`,
    ]),
    ...(movesPoint
      ? [
          "`prune` no longer waits for the moved points: after its grace period it removes the data that only they needed. If a replica or an earlier version of the bucket holds intact copies, restore them before that.",
        ]
      : []),
    `${moved.length} documents moved, ${left.length} left.`,
  ];
}
