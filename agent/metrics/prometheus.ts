import type { ErrorCode } from "../../foundation/errors.js";
import { durationSeconds, FIGURES, type RunRecord, throughput } from "./run-record.js";

const PREFIX = "blockferry_";
const LAST_SUCCESS = "last_success_timestamp_seconds";

type Labels = Record<string, string>;

interface Family {
  /** Without the prefix. */
  name: string;
  type: "gauge" | "counter";
  help: string;
  samples: { labels: Labels; value: number }[];
}

/** Jobs that a service has finished since it started. */
export interface JobCounts {
  succeeded: number;
  /** Jobs that failed or were refused, by error code. */
  failed: ReadonlyMap<ErrorCode, number>;
}

/**
 * Returns the metrics in the text format of Prometheus, version 0.0.4.
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 * @param records the last run per command and instance
 * @param earlier successes in an earlier text, from `lastSuccesses`; each stays until there is a later one
 */
export function prometheusText(records: RunRecord[], earlier: Map<string, number>, jobs?: JobCounts): string {
  const families: Family[] = [
    gauge("run_success", "Whether the last run succeeded: 1 or 0.", records, ({ errorCode }) =>
      errorCode === undefined ? 1 : 0,
    ),
    {
      ...{
        name: "run_error_info",
        type: "gauge",
        help: "The error code of a last run that failed; always 1.",
      },
      samples: records.flatMap((record) =>
        record.errorCode === undefined
          ? []
          : [{ labels: { ...labelsOf(record), code: record.errorCode }, value: 1 }],
      ),
    },
    gauge("run_start_timestamp_seconds", "When the last run started.", records, ({ startedAt }) =>
      seconds(startedAt),
    ),
    gauge("run_end_timestamp_seconds", "When the last run ended.", records, ({ endedAt }) =>
      seconds(endedAt),
    ),
    gauge("run_duration_seconds", "How long the last run took.", records, durationSeconds),
    gauge(
      "run_throughput_bytes_per_second",
      "Bytes that the last run processed in a second.",
      records,
      throughput,
    ),
    ...FIGURES.map(({ figure, prometheus, help }) =>
      gauge(prometheus, help, records, ({ figures }) => figures[figure]),
    ),
    volumeGauge("volume_size_bytes", "Size of a volume in the last run.", records, "sizeBytes"),
    volumeGauge(
      "volume_unreadable_bytes",
      "Bytes of a volume that were kept as zeros, because they could not be read or were lost.",
      records,
      "unreadableBytes",
    ),
    ...(jobs === undefined ? [] : jobCounters(jobs)),
  ];
  const text = families.filter(({ samples }) => samples.length > 0).map(familyText);
  return [...text, successText(records, earlier)].join("");
}

/** Returns the successes in a text: seconds since 1970 by the sample's label text. */
export function lastSuccesses(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const [, labels = "", value] of text.matchAll(SUCCESS_LINE)) found.set(labels, Number(value));
  return found;
}

const SUCCESS_LINE = new RegExp(`^${PREFIX}${LAST_SUCCESS}(\\{.*\\}) ([0-9.]+)$`, "gm");

function successText(records: RunRecord[], earlier: Map<string, number>): string {
  const successes = new Map(earlier);
  for (const record of records) {
    if (record.errorCode === undefined) successes.set(labelText(labelsOf(record)), seconds(record.endedAt));
  }
  if (successes.size === 0) return "";
  const lines = [...successes].map(([labels, value]) => `${PREFIX}${LAST_SUCCESS}${labels} ${value}\n`);
  return headText({ name: LAST_SUCCESS, type: "gauge", help: "When a run last succeeded." }) + lines.join("");
}

function gauge(
  name: string,
  help: string,
  records: RunRecord[],
  figureOf: (record: RunRecord) => number | undefined,
): Family {
  const samples = records.flatMap((record) => {
    const value = figureOf(record);
    return value === undefined ? [] : [{ labels: labelsOf(record), value }];
  });
  return { name, type: "gauge", help, samples };
}

function volumeGauge(
  name: string,
  help: string,
  records: RunRecord[],
  figure: "sizeBytes" | "unreadableBytes",
): Family {
  const samples = records.flatMap((record) =>
    record.volumes.map((volume) => ({
      labels: { ...labelsOf(record), volume: volume.name },
      value: volume[figure],
    })),
  );
  return { name, type: "gauge", help, samples };
}

function jobCounters({ succeeded, failed }: JobCounts): Family[] {
  const errors = [...failed].map(([code, value]) => ({ labels: { code }, value }));
  return [
    {
      ...{
        name: "serve_jobs_total",
        type: "counter",
        help: "Jobs that the service has ended since it began.",
      },
      samples: [
        { labels: { outcome: "succeeded" }, value: succeeded },
        { labels: { outcome: "failed" }, value: errors.reduce((sum, { value }) => sum + value, 0) },
      ],
    },
    {
      ...{ name: "serve_job_errors_total", type: "counter", samples: errors },
      help: "Jobs that failed or were refused, by the error code of their result.",
    },
  ];
}

function labelsOf({ command, instance }: RunRecord): Labels {
  return { command, ...(instance === undefined ? {} : { instance_id: instance }) };
}

function familyText({ samples, ...head }: Family): string {
  const lines = samples.map(({ labels, value }) => `${PREFIX}${head.name}${labelText(labels)} ${value}\n`);
  return headText(head) + lines.join("");
}

function headText({ name, type, help }: Omit<Family, "samples">): string {
  return `# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${type}\n`;
}

function labelText(labels: Labels): string {
  const escaped = (value: string) => value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",")}}`;
}

function seconds(date: Date): number {
  return date.getTime() / 1000;
}
