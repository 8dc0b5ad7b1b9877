import type { Argv } from "yargs";
import { type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { formatBytes } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { macKeyOption, parseTombstoneKey } from "../../command-line/mac-key-option.js";
import {
  chooseThreads,
  once,
  type PointFilterArguments,
  parsePointFilter,
  pointFilterOptions,
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
import { openRepository } from "../../repository/open/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { problemRecords, type VerifyReport, verify } from "../verify/verify.js";
import { type MetricsArguments, metricsOptions, withMetrics } from "./output-options.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

/** Problems that are printed one by one; `--json` gives all. */
const MAX_FOUND = 50;

interface VerifyArguments extends StorageArguments, PointFilterArguments, MetricsArguments {
  point: string | undefined;
  readData: number | undefined;
  tombstoneKey: string | undefined;
  threads: number | undefined;
  json: boolean;
}

export const verifyCommand: Command<VerifyArguments> = {
  command: "verify",
  describe: "Check that the repository is whole, and report exactly which data are damaged",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        point: {
          type: "string",
          requiresArg: true,
          coerce: once("point"),
          describe: "Check one recovery point alone (id, or `latest` of one machine)",
        },
        ...pointFilterOptions,
        "read-data": {
          type: "string",
          coerce: parseReadData,
          describe:
            "Also read the packs and prove every byte; with =PERCENT the next share of them, so that 100/PERCENT runs read all",
        },
        "tombstone-key": macKeyOption(
          "tombstone-key",
          "ARN of the KMS key that `forget` signs tombstones with: a point that is gone without one of these is a problem",
        ),
        threads: threadsOption,
      })
      .example("$0 verify --repo repo", "quick: all metadata, and that every chunk has its pack")
      .example("$0 verify --repo repo --read-data", "thorough: every byte")
      .example(
        "$0 verify --repo repo --read-data=5",
        "the next 5% of the packs, from a daily timer: every byte in 20 days",
      ) as unknown as Argv<VerifyArguments>,
  handler: (args) =>
    withMetrics("verify", args, async (meter) => {
      refuseSampleOfPoint(args);
      const filter = parsePointFilter(args);
      if (args.point === undefined) refuseFilter(args);
      const location = storageLocation(args);
      meter.countRetries(location);
      const signal = interruptSignal();
      const repository = await openRepository(location, signal);
      const tombstoneKey = parseTombstoneKey(args.tombstoneKey, repository, signal);
      const watcher = meter.watch(progressWatcher(args.json));
      const started = performance.now();
      let chosen: ChosenPoint | undefined;
      const findPoint = async (storage: Storage) => {
        const { json, point = "" } = args;
        chosen = await choosePoint(storage, point, { filter, json, notice: watcher.notice });
        return chosen.point;
      };
      const report = await verify(repository, {
        findPoint: args.point === undefined ? undefined : findPoint,
        readPercent: args.readData ?? 0,
        threads: chooseThreads(args.threads),
        ...{ tombstoneKey, watcher, signal },
      });
      const whole = report.problems.length === 0 && report.damaged.length === 0;
      meter.figures.readBytes = report.bytesRead;
      meter.figures.problems = report.problems.length;
      meter.figures.lostBytes = report.damaged.reduce((sum, { length }) => sum + length, 0);
      if (!whole) {
        process.exitCode = EXIT.dataDamaged;
        meter.problem = report.problems[0]?.code ?? "ChunkMissing";
      }
      const seconds = (performance.now() - started) / 1000;
      const problems = problemRecords(report);
      const notes = report.notes.map((note) => note.toRecord());
      const future = report.future.map((error) => error.toRecord());
      const recoveryPoint = chosen?.record ?? null;
      printResult<AgentOutput<"verify">>(
        args.json,
        { ok: whole, ...report, recoveryPoint, problems, notes, future, seconds },
        [
          ...(chosen === undefined ? [] : [`Recovery point ${chosen.point.id}, ${chosen.origin}:`]),
          ...(whole ? describeWhole(report) : describeDamage(report)),
          ...report.future.map(({ message }) => `  ${message}`),
          ...describeUnchecked(report),
        ],
      );
    }),
};

/**
 * Refuses a sample of one point: samples continue through the whole repository.
 * @throws Usage
 */
function refuseSampleOfPoint({ point, readData = 100 }: VerifyArguments): void {
  if (point === undefined || readData === 100) return;
  throw usage(
    `--read-data=${readData} is for the whole repository, but --point names one recovery point.`,
    "Give --read-data without a value to read all data that the point needs.",
  );
}

/**
 * Refuses filters without `--point`: they select the machine of `latest`.
 * @throws Usage
 */
function refuseFilter(args: PointFilterArguments): void {
  const given = (["instance", "host", "volume", "tag"] as const).find((name) => args[name] !== undefined);
  if (given === undefined) return;
  throw usage(`--${given} chooses among recovery points for --point.`, "Also give --point latest.");
}

/**
 * Returns the share of packs to read, in percent; 100 if no value is given.
 * @throws Usage
 */
function parseReadData(value: string | string[]): number {
  const percent = value === "" ? 100 : Number(String(value).replace(/%$/, ""));
  if (percent > 0 && percent <= 100) return percent;
  throw usage(
    `--read-data=${value} is not a percentage.`,
    "Give a number above 0, to 100, or no value for everything.",
  );
}

function describeWhole({ points, packs, packsRead, bytesRead, readSince, notes }: VerifyReport): string[] {
  const read =
    packsRead === 0
      ? "Data were not read; --read-data proves every byte."
      : `${packsRead} of them read and proven (${formatBytes(bytesRead)}).`;
  return [
    `The repository is whole: ${points} recovery points, ${packs} packs. ${read}`,
    ...(readSince === null || packsRead === packs
      ? []
      : [
          `According to this machine's record, every pack that is older than ${readSince} has been read since then.`,
        ]),
    ...notes.map(({ message }) => `  ${message} No recovery point needs it any more.`),
  ];
}

function describeUnchecked({ uncheckedTombstones }: VerifyReport): string[] {
  if (uncheckedTombstones === 0) return [];
  return [`${uncheckedTombstones} tombstones are signed, but were not checked; --tombstone-key checks them.`];
}

function describeDamage({ problems, damaged }: VerifyReport): string[] {
  const found = [
    ...problems.map(({ message, remedy }) => [message, `  ${remedy}`]),
    ...damaged.map(({ point, volume, offset, length }) => [
      `Recovery point ${point}, volume ${volume}: ${length} bytes at byte ${offset} cannot be restored.`,
    ]),
  ];
  const rest = found.length - MAX_FOUND;
  return [
    `The repository is DAMAGED: ${problems.length} problems.`,
    ...found.slice(0, MAX_FOUND).flatMap((lines) => lines.map((line) => `  ${line}`)),
    ...(rest > 0 ? [`  ... and ${rest} more; --json lists all`] : []),
    ...(damaged.length === 0
      ? [
          "Every recovery point that could be read can still be restored: other packs hold the data that they need, or nothing needs the damaged data.",
        ]
      : []),
  ];
}
