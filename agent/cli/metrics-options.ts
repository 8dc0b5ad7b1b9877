import { once, usage } from "../../command-line/options.js";
import { printNote } from "../../command-line/output.js";
import { type MetricsFiles, refuseForeignFiles, writeMetrics } from "../metrics/metrics-files.js";
import { RunMeter } from "../metrics/run-meter.js";
import type { MeteredCommand } from "../metrics/run-record.js";
import { refuseSameFile } from "./same-file.js";

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
