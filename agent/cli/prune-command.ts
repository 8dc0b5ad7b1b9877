import type { Argv } from "yargs";
import { parseByteSize } from "../../command-line/byte-size.js";
import type { Command } from "../../command-line/command.js";
import { parseDuration } from "../../command-line/duration.js";
import { formatBytes, formatTable } from "../../command-line/format.js";
import { checkWholeNumber, once } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/repository.js";
import { type PackTotals, type PrunePlan, type PruneReport, planPrune, prune } from "../prune/prune.js";
import { type MetricsArguments, metricsOptions, withMetrics } from "./metrics-options.js";
import { interruptSignal } from "./signals.js";

interface PruneArguments extends StorageArguments, MetricsArguments {
  gracePeriod: string;
  rewriteBelow: number;
  maxRewrite: string | undefined;
  dryRun: boolean;
  json: boolean;
}

export const pruneCommand: Command<PruneArguments> = {
  command: "prune",
  describe: "Free the space of what no recovery point needs, and of what interrupted runs left",
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
          describe:
            "How long packs stay that nobody needs: 30m, 20h, 7d. Runs under way are waited for besides",
        },
        "rewrite-below": {
          type: "number",
          default: 50,
          requiresArg: true,
          coerce: once("rewrite-below"),
          describe: "Rewrite packs of which less than this is needed, in per cent; 0 for none",
        },
        "max-rewrite": {
          type: "string",
          requiresArg: true,
          coerce: once("max-rewrite"),
          describe: "The most bytes to copy by rewriting, as in 20G  [default: no limit]",
        },
        "dry-run": { type: "boolean", default: false, describe: "Only say what would be done" },
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
        signal: interruptSignal(),
      };
      const location = storageLocation(args);
      meter.countRetries(location);
      const repository = await openRepository(location);
      if (dryRun) {
        const plan = await planPrune(repository, options);
        return printResult(
          json,
          { dryRun, ...plan },
          `Nothing was changed. A run now:\n${describePlan(plan)}`,
        );
      }
      const report = await prune(repository, options);
      meter.figures.removedBytes = report.removed.bytes;
      meter.figures.rewrittenBytes = report.rewritten.bytes;
      meter.figures.keptBytes = report.kept.bytes;
      printResult(json, { dryRun, ...report }, describeReport(report));
    }),
};

function describeReport(report: PruneReport): string {
  return `${describePlan(report)}\n${report.unfinishedRemoved} unfinished objects of dead runs removed.`;
}

function describePlan({
  removed,
  waiting,
  noticed,
  locked,
  rewritten,
  kept,
  neededBytes,
}: PrunePlan): string {
  const row = (name: string, { packs, bytes }: PackTotals) => [
    `  ${name}`,
    `${packs} packs`,
    formatBytes(bytes),
  ];
  return [
    formatTable([
      row("removed", removed),
      row("condemned, until runs under way have ended", waiting),
      row("kept", kept),
      row("  of these to go after the grace period", noticed),
      row("  of these to go when their locks have ended", locked),
      row("rewritten", rewritten),
    ]),
    `Recovery points need ${formatBytes(neededBytes)}.`,
  ].join("\n");
}
