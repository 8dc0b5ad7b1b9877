// A reporter for `node --test` that prints the slowest files, and the number of skipped tests by reason.
import { relative } from "node:path";

const SHOWN_FILES = 10;

export default async function* summary(events) {
  const seconds = new Map();
  const skips = new Map();
  for await (const { type, data } of events) {
    if (type === "test:summary" && data.file !== undefined)
      seconds.set(relative("dist", data.file), data.duration_ms / 1000);
    if (type === "test:pass" && typeof data.skip === "string")
      skips.set(data.skip, (skips.get(data.skip) ?? 0) + 1);
  }
  yield "\nSlowest files:\n";
  for (const [file, took] of largestFirst(seconds).slice(0, SHOWN_FILES)) {
    yield `${took.toFixed(1).padStart(8)} s  ${file}\n`;
  }
  if (skips.size === 0) return;
  yield "\nSkipped tests and suites:\n";
  for (const [reason, count] of largestFirst(skips)) yield `${String(count).padStart(8)}  ${reason}\n`;
}

function largestFirst(numbers) {
  return [...numbers].sort(([, one], [, other]) => other - one);
}
