import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { EXIT } from "../../command-line/exit-codes.js";
import { formatBytes } from "../../command-line/format.js";
import { chooseThreads, once, threadsOption, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/repository.js";
import { problemRecords } from "../verify/problem-records.js";
import { type VerifyReport, verify } from "../verify/verify.js";
import { type MetricsArguments, metricsOptions, withMetrics } from "./metrics-options.js";
import { progressWatcher } from "./progress.js";
import { interruptSignal } from "./signals.js";

/** Problems that are printed one by one; `--json` gives all. */
const MAX_LINES = 50;

interface VerifyArguments extends StorageArguments, MetricsArguments {
  point: string | undefined;
  readData: number | undefined;
  threads: number | undefined;
  json: boolean;
}

export const verifyCommand: Command<VerifyArguments> = {
  command: "verify",
  describe: "Check that the repository is whole, and say exactly what is not",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        point: {
          type: "string",
          requiresArg: true,
          coerce: once("point"),
          describe: "Check one recovery point alone (id or `latest`)",
        },
        "read-data": {
          type: "string",
          coerce: parseReadData,
          describe:
            "Read the packs too and prove every byte; with =PERCENT the next share of them, so that 100/PERCENT runs read all",
        },
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
      const location = storageLocation(args);
      meter.countRetries(location);
      const repository = await openRepository(location);
      const started = performance.now();
      const report = await verify(repository, {
        point: args.point,
        readPercent: args.readData ?? 0,
        threads: chooseThreads(args.threads),
        watcher: meter.watch(progressWatcher(args.json)),
        signal: interruptSignal(),
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
      printResult(
        args.json,
        { ok: whole, ...report, problems, notes, seconds },
        whole ? describeWhole(report) : describeDamage(report),
      );
    }),
};

/** Samples go through the whole repository, and move on. @throws Usage */
function refuseSampleOfPoint({ point, readData = 100 }: VerifyArguments): void {
  if (point === undefined || readData === 100) return;
  throw usage(
    `--read-data=${readData} is for the whole repository, and --point names one recovery point.`,
    "Give --read-data without a value to read all that the point needs.",
  );
}

/** The share of packs to be read, in percent; all of them when no value is given. @throws Usage */
function parseReadData(value: string | string[]): number {
  const percent = value === "" ? 100 : Number(String(value).replace(/%$/, ""));
  if (percent > 0 && percent <= 100) return percent;
  throw usage(
    `--read-data=${value} is not a percentage.`,
    "Give a number above 0, to 100, or no value for everything.",
  );
}

function describeWhole({ points, packs, packsRead, bytesRead, readSince, notes }: VerifyReport): string {
  const read =
    packsRead === 0
      ? "Data were not read; --read-data proves every byte."
      : `${packsRead} of them read and proven (${formatBytes(bytesRead)}).`;
  return [
    `The repository is whole: ${points} recovery points, ${packs} packs. ${read}`,
    ...(readSince === null || packsRead === packs
      ? []
      : [`Every pack that is older than ${readSince} has been read since then.`]),
    ...notes.map(({ message }) => `  ${message} No recovery point needs it any more.`),
  ].join("\n");
}

function describeDamage({ problems, damaged }: VerifyReport): string {
  const lines = [
    ...problems.map((problem) => `${problem.message}\n    ${problem.remedy}`),
    ...damaged.map(
      ({ point, volume, offset, length }) =>
        `Recovery point ${point}, volume ${volume}: ${length} bytes at byte ${offset} cannot be restored.`,
    ),
  ];
  const rest = lines.length - MAX_LINES;
  return [
    `The repository is DAMAGED: ${problems.length} problems.`,
    ...lines.slice(0, MAX_LINES).map((line) => `  ${line}`),
    ...(rest > 0 ? [`  ... and ${rest} more; --json lists all`] : []),
    ...(damaged.length === 0 ? ["Every recovery point that could be read can still be restored."] : []),
  ].join("\n");
}
