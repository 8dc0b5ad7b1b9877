import { type FileHandle, open, readFile } from "node:fs/promises";
import { systemErrorCode } from "../../foundation/blockferry-error.js";
import { canonicalPath } from "../../foundation/canonical-path.js";
import { createFile } from "../create-file.js";
import { replaceFile } from "../replace-file.js";
import { emfLines } from "./emf.js";
import { type JobCounts, lastSuccesses, prometheusText } from "./prometheus.js";
import type { RunRecord } from "./run-record.js";

/** Collectors run as users of their own, so that everybody may read new files, whatever the umask. */
const METRICS_MODE = 0o644;

/** Where metrics go; nowhere without either. */
export interface MetricsFiles {
  /** Replaced as a whole, so that nobody reads half of it. */
  prometheus: string | undefined;
  /** Appended to; `-` is standard output. */
  emf: string | undefined;
}

export function hasMetrics({ prometheus, emf }: MetricsFiles): boolean {
  return prometheus !== undefined || emf !== undefined;
}

/**
 * Tells of a run that has ended.
 * @param last the last run of each command and instance, this one included
 */
export async function writeMetrics(
  files: MetricsFiles,
  record: RunRecord,
  last: RunRecord[],
  jobs?: JobCounts,
): Promise<void> {
  if (files.emf !== undefined) await appendLines(files.emf, emfLines(record));
  if (files.prometheus === undefined) return;
  const earlier = lastSuccesses(await readIfThere(files.prometheus));
  await replaceFile(files.prometheus, prometheusText(last, earlier, jobs), METRICS_MODE);
}

async function appendLines(path: string, lines: string[]): Promise<void> {
  const text = lines.map((line) => `${line}\n`).join("");
  if (path === "-") process.stdout.write(text);
  else await appendToFile(path, text);
}

async function appendToFile(path: string, text: string): Promise<void> {
  const file = await openToAppend(path);
  try {
    await file.appendFile(text);
  } finally {
    await file.close();
  }
}

/** A file that is there keeps its mode. */
async function openToAppend(path: string): Promise<FileHandle> {
  try {
    return await createFile(await canonicalPath(path), METRICS_MODE);
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
    return open(path, "a");
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return "";
    throw error;
  }
}
