import type { Argv } from "yargs";
import { formatBytes, formatTable } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { checkWholeNumber, once, parseByteSize, parseDuration } from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { ErrorRecord } from "../../foundation/errors.js";
import { openRepository } from "../../repository/open/repository.js";
import { type PackTotals, type PrunePlan, type PruneReport, planPrune, prune } from "../maintenance/prune.js";
import { type MetricsArguments, metricsOptions, withMetrics } from "./output-options.js";
import type { AgentOutput } from "./outputs.js";

interface PruneArguments extends StorageArguments, MetricsArguments {
  gracePeriod: string;
  rewriteBelow: number;
  maxRewrite: string | undefined;
  allowNoPoints: boolean;
  dryRun: boolean;
  json: boolean;
}

export const pruneCommand: Command<PruneArguments> = {
  command: "prune",
  describe: "Free the space that no recovery point needs, including leftovers of interrupted runs",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        "grace-period": {
          type: "string",
          default: "20h",
          requiresArg: true,
          coerce: once("grace-period"),
          describe: "How long unneeded packs stay: 30m, 20h, 7d. Runs in progress are also waited for",
        },
        "rewrite-below": {
          type: "number",
          default: 50,
          requiresArg: true,
          coerce: once("rewrite-below"),
          describe: "Rewrite packs with a needed share below this, in per cent; 0 for none",
        },
        "max-rewrite": {
          type: "string",
          requiresArg: true,
          coerce: once("max-rewrite"),
          describe: "The most bytes to copy by rewriting, such as 20G  [default: no limit]",
        },
        "allow-no-points": {
          type: "boolean",
          default: false,
          describe: "Remove all packs of a repository without recovery points",
        },
        "dry-run": { type: "boolean", default: false, describe: "Only report what would be done" },
      })
      .example(
        "$0 prune --repo s3://my-backups/fleet-a",
        "from a daily timer, after `forget`; safe while backups run",
      )
      .example(
        "$0 prune --repo repo --grace-period 0s",
        "free the space now, where every run can write to the repository",
      ) as unknown as Argv<PruneArguments>,
  handler: (args) =>
    withMetrics("prune", args, async (meter) => {
      const { json, dryRun } = args;
      const options = {
        graceMs: parseDuration("grace-period", args.gracePeriod),
        rewriteBelowPercent: checkWholeNumber("rewrite-below", args.rewriteBelow, 0, 100),
        maxRewriteBytes:
          args.maxRewrite === undefined ? Infinity : parseByteSize("max-rewrite", args.maxRewrite),
        compression: "lz4" as const,
        allowNoPoints: args.allowNoPoints,
        signal: interruptSignal(),
      };
      const location = { ...storageLocation(args), freesSpace: true } as const;
      meter.countRetries(location);
      const repository = await openRepository(location, options.signal);
      if (dryRun) {
        const plan = await planPrune(repository, options);
        if (plan.problems.length > 0) process.exitCode = EXIT.dataDamaged;
        return printResult<AgentOutput<"prune">>(json, { dryRun, ...plan }, [
          "Nothing was changed. A run now:",
          ...describePlan(plan),
        ]);
      }
      const report = await prune(repository, options);
      if (report.problems.length > 0) process.exitCode = EXIT.dataDamaged;
      meter.figures.removedBytes = report.removed.bytes;
      meter.figures.rewrittenBytes = report.rewritten.bytes;
      meter.figures.keptBytes = report.kept.bytes;
      printResult<AgentOutput<"prune">>(json, { dryRun, ...report }, describeReport(report));
    }),
};

function describeReport(report: PruneReport): string[] {
  return [...describePlan(report), `${report.unfinishedRemoved} unfinished objects of dead runs removed.`];
}

function describePlan({
  removed,
  waiting,
  noticed,
  locked,
  rewritten,
  kept,
  neededBytes,
  problems,
  unreadable,
}: PrunePlan): string[] {
  const row = (name: string, { packs, bytes }: PackTotals) => [
    `  ${name}`,
    `${packs} packs`,
    formatBytes(bytes),
  ];
  return [
    ...formatTable([
      row("removed", removed),
      row("condemned, until current runs have ended", waiting),
      row("kept", kept),
      row("  to be removed after the grace period", noticed),
      row("  to be removed when their locks have ended", locked),
      row("rewritten", rewritten),
    ]),
    `Recovery points need ${formatBytes(neededBytes)}.`,
    ...describeProblems(problems),
    ...unreadable.flatMap(({ message, remedy }) => [`Unreadable: ${message}`, `  ${remedy}`]),
  ];
}

function describeProblems(problems: ErrorRecord[]): string[] {
  if (problems.length === 0) return [];
  return [
    "Damage was found. Every pack that may hold the only good copy of a chunk was kept:",
    ...problems.map(({ code, message, remedy }) => `  ${code}: ${message} ${remedy}`),
  ];
}
