import { durationSeconds, FIGURES, type RunRecord, throughput, type VolumeFigures } from "./run-record.js";

const NAMESPACE = "Blockferry";
/**
 * Maximum length of a dimension's value:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html
 */
const MAX_DIMENSION_CHARACTERS = 1024;

interface Metric {
  name: string;
  unit: "Bytes" | "Bytes/Second" | "Count" | "Seconds";
  value: number;
}

/**
 * Returns a run as documents of the embedded metric format.
 * There is one document for the run and one per volume. CloudWatch makes a metric for each set of dimensions,
 * so the metrics of all instances together can be watched too. Source:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function emfLines(record: RunRecord): string[] {
  const own = { Command: record.command };
  const instance = record.instance === undefined ? {} : { Instance: record.instance };
  const sets = record.instance === undefined ? [own] : [own, { ...own, ...instance }];
  return [
    emfLine(record, sets, runMetrics(record)),
    ...record.volumes.map((volume) =>
      emfLine(record, [{ ...own, ...instance, Volume: volume.name }], volumeMetrics(volume)),
    ),
  ];
}

function volumeMetrics({ sizeBytes, unreadableBytes }: VolumeFigures): Metric[] {
  return [
    { name: "VolumeBytes", unit: "Bytes", value: sizeBytes },
    { name: "UnreadableBytes", unit: "Bytes", value: unreadableBytes },
  ];
}

function runMetrics(record: RunRecord): Metric[] {
  const hasSucceeded = record.errorCode === undefined;
  const bytesPerSecond = throughput(record);
  const metrics: Metric[] = [
    { name: "Succeeded", unit: "Count", value: hasSucceeded ? 1 : 0 },
    { name: "Failed", unit: "Count", value: hasSucceeded ? 0 : 1 },
    { name: "Duration", unit: "Seconds", value: durationSeconds(record) },
  ];
  if (bytesPerSecond !== undefined)
    metrics.push({ name: "Throughput", unit: "Bytes/Second", value: bytesPerSecond });
  for (const { figure, emf, unit } of FIGURES) {
    const value = record.figures[figure];
    if (value !== undefined) metrics.push({ name: emf, unit, value });
  }
  return metrics;
}

/** @param sets sets of dimensions: each value by its name */
function emfLine(record: RunRecord, sets: Record<string, string>[], metrics: Metric[]): string {
  const { errorCode, startedAt, endedAt } = record;
  const dimensions = Object.entries(Object.assign({}, ...sets) as Record<string, string>);
  return JSON.stringify({
    _aws: {
      Timestamp: endedAt.getTime(),
      CloudWatchMetrics: [
        {
          Namespace: NAMESPACE,
          Dimensions: sets.map((set) => Object.keys(set)),
          Metrics: metrics.map(({ name, unit }) => ({ Name: name, Unit: unit })),
        },
      ],
    },
    ...Object.fromEntries(dimensions.map(([name, value]) => [name, dimensionValue(value)])),
    StartedAt: startedAt.toISOString(),
    ...(errorCode === undefined ? {} : { ErrorCode: errorCode }),
    ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])),
  });
}

/**
 * Encodes a dimension's value.
 * CloudWatch accepts only ASCII without control characters, and not only white space. Other characters and
 * the percent sign are percent-encoded, so that different names stay different.
 */
function dimensionValue(value: string): string {
  return value.replace(/[^\x20-\x24\x26-\x7e]/gu, percentEncoded).slice(0, MAX_DIMENSION_CHARACTERS);
}

/** Encodes each byte of UTF-8 like a URL (RFC 3986, 2.1). */
function percentEncoded(character: string): string {
  return Buffer.from(character).toString("hex").toUpperCase().replace(/../g, "%$&");
}
