import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { once, usage } from "../../command-line/options.js";
import { printNote } from "../../command-line/output.js";
import { atPlace } from "../../foundation/held-place.js";
import { ReportFile } from "../../report/page.js";
import { hasMetrics, type MetricsFiles, refuseForeignFiles, writeMetrics } from "../metrics/metrics-files.js";
import { type MeteredCommand, RunMeter } from "../metrics/run-record.js";
import {
  type BackupReport,
  figuresReport,
  NO_REPORT,
  outcomeReport,
  pageIn,
} from "../report/backup-report.js";

export interface MetricsArguments {
  metricsFile: string | undefined;
  emfFile: string | undefined;
}

export const metricsOptions = {
  "metrics-file": {
    type: "string",
    requiresArg: true,
    coerce: once("metrics-file"),
    describe:
      "File for metrics in the text format of Prometheus, as in /var/lib/node_exporter/blockferry.prom",
  },
  "emf-file": {
    type: "string",
    requiresArg: true,
    coerce: once("emf-file"),
    describe: "File to append metrics to, in CloudWatch's embedded metric format; - for standard output",
  },
} as const;

export function metricsFiles({ metricsFile, emfFile }: MetricsArguments): MetricsFiles {
  return { prometheus: metricsFile, emf: emfFile };
}

/**
 * Refuses metrics files that must not be written to.
 * @param report another file that the command writes
 * @throws Usage, MetricsNotWritable
 */
export async function refuseMetricsFiles(args: MetricsArguments, report?: string): Promise<void> {
  const { metricsFile, emfFile } = args;
  const logFile = emfFile === "-" ? undefined : emfFile;
  await refuseSameFile({ "--metrics-file": metricsFile, "--emf-file": logFile, "--report": report });
  await refuseForeignFiles(metricsFiles(args));
}

/**
 * Runs a command and writes its outcome to the metrics files.
 * This includes failed runs. A failure to write the files does not fail the run.
 * @throws Usage, MetricsNotWritable; the error of `run`
 */
export async function withMetrics(
  command: MeteredCommand,
  args: MetricsArguments & { json: boolean; report?: string | undefined },
  run: (meter: RunMeter) => Promise<void>,
): Promise<void> {
  if (args.json && args.emfFile === "-") {
    throw usage(
      "--json and --emf-file - both need standard output.",
      "Give --emf-file a file, or leave --json out.",
    );
  }
  await refuseMetricsFiles(args, args.report);
  const meter = new RunMeter(command);
  let thrown: unknown;
  try {
    await run(meter);
  } catch (error) {
    thrown = error;
  }
  const record = meter.end(thrown);
  for (const { message } of await writeMetrics(metricsFiles(args), record, [record])) {
    printNote(message);
  }
  if (thrown !== undefined) throw thrown;
}

export interface ReportArguments {
  report: string | undefined;
}

export const reportOption = {
  report: {
    type: "string",
    requiresArg: true,
    coerce: once("report"),
    describe: "HTML file for a report: a map of each volume, and where the time went",
  },
} as const;

/**
 * Starts the report that the options require: all figures for `--report`, only the outcome for metrics.
 * @throws ReportNotWritable, before anything is backed up
 */
export async function beginReport(
  args: ReportArguments & MetricsArguments,
  notice: (message: string) => void,
): Promise<BackupReport> {
  if (args.report !== undefined) {
    return figuresReport([pageIn(await ReportFile.prepare(args.report))], notice);
  }
  return hasMetrics(metricsFiles(args)) ? outcomeReport(notice) : NO_REPORT;
}

/**
 * Refuses options that name the same file, by any path: one would overwrite the other's output.
 * @param paths paths by option
 * @throws Usage
 */
async function refuseSameFile(paths: Record<string, string | undefined>): Promise<void> {
  const options = new Map<string, string>();
  for (const [option, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    const file = await identityOf(path);
    const other = options.get(file);
    if (other !== undefined) {
      throw usage(`${other} and ${option} name the same file, ${path}.`, "Give each its own file.");
    }
    options.set(file, option);
  }
}

/**
 * Returns the same identity for every path to a file, through links and mounts, even if it does not exist
 * yet.
 */
async function identityOf(path: string): Promise<string> {
  const place = await atPlace(path, async (held) => held.path).catch(() => resolve(path));
  const inode = await inodeOf(place);
  if (inode !== undefined) return inode;
  const folder = await inodeOf(dirname(place));
  return folder === undefined ? place : `${folder}/${basename(place)}`;
}

/** Returns undefined if the file does not exist or cannot be examined. */
async function inodeOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
