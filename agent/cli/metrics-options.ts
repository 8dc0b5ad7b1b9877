import { once, usage } from "../../command-line/options.js";
import { type MetricsFiles, writeMetrics } from "../metrics/metrics-files.js";
import { RunMeter } from "../metrics/run-meter.js";
import type { MeteredCommand } from "../metrics/run-record.js";

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
 * Runs a command and tells the metrics files of it, however it ends. That they cannot be written is no failure of the run.
 * @throws Usage; what `run` throws
 */
export async function withMetrics(
  command: MeteredCommand,
  args: MetricsArguments & { json: boolean },
  run: (meter: RunMeter) => Promise<void>,
): Promise<void> {
  if (args.json && args.emfFile === "-") {
    throw usage(
      "--json and --emf-file - both need standard output.",
      "Give --emf-file a file, or leave --json out.",
    );
  }
  const meter = new RunMeter(command);
  let thrown: unknown;
  try {
    await run(meter);
  } catch (error) {
    thrown = error;
  }
  const record = meter.end(thrown);
  try {
    await writeMetrics(metricsFiles(args), record, [record]);
  } catch (error) {
    process.stderr.write(`note: ${describeFailure(error)}\n`);
  }
  if (thrown !== undefined) throw thrown;
}

function describeFailure(error: unknown): string {
  return `the metrics could not be written: ${error instanceof Error ? error.message : error}`;
}
