import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PYTHON } from "./python.js";

interface PrometheusFamily {
  /** Without the `_total` of a counter. */
  name: string;
  type: string;
  help: string;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

const SCRIPT = fileURLToPath(new URL("../../../test/support/prometheus-families.py", import.meta.url));

/**
 * Parses metrics with Prometheus' own client library for Python. Also checks rules that this parser does not
 * enforce: https://prometheus.io/docs/instrumenting/exposition_formats/ and the naming conventions,
 * https://prometheus.io/docs/practices/naming/
 */
export async function prometheusFamilies(text: string): Promise<PrometheusFamily[]> {
  const running = promisify(execFile)(PYTHON, [SCRIPT]);
  running.child.stdin?.end(text);
  const families = JSON.parse((await running).stdout) as PrometheusFamily[];
  assert.ok(families.length > 0 && text.endsWith("\n"), text);
  assertDistinct(families.map(({ name }) => name));
  for (const family of families) assertFollowsConventions(family);
  return families;
}

function assertFollowsConventions({ name, type, help, samples }: PrometheusFamily): void {
  assert.match(name, /^[a-z]+(_[a-z]+)+$/);
  assert.doesNotMatch(name, /_(total|gauge|counter|milliseconds|kib|mib|kilobytes|megabytes)$/);
  assert.ok(type === "gauge" || type === "counter", `${name} is of type ${type}`);
  assert.match(help, /^[A-Z].*\.$/, `${name} has help`);
  assert.ok(samples.length > 0, `${name} has samples`);
  assertDistinct(samples.map(({ labels }) => JSON.stringify(labels)));
  const sampleName = type === "counter" ? `${name}_total` : name;
  for (const sample of samples) {
    assert.equal(sample.name, sampleName);
    assert.ok(Number.isFinite(sample.value), name);
    for (const label of Object.keys(sample.labels)) assert.match(label, /^[a-z][a-z_]*$/);
  }
}

function assertDistinct(values: string[]): void {
  assert.equal(new Set(values).size, values.length, values.join("\n"));
}
