import { readFile } from "node:fs/promises";
import { BlockferryError, systemErrorCode } from "../../foundation/blockferry-error.js";
import { appendToFile } from "../append-to-file.js";
import { type OwnFile, whyForeign } from "../own-file.js";
import { replaceFile } from "../replace-file.js";
import { emfLines } from "./emf.js";
import { type JobCounts, lastSuccesses, prometheusText } from "./prometheus.js";
import type { RunRecord } from "./run-record.js";

/** Where metrics go; nowhere without either. */
export interface MetricsFiles {
  /** Replaced as a whole, so that nobody reads half of it. */
  prometheus: string | undefined;
  /** Appended to; `-` is standard output. */
  emf: string | undefined;
}

interface MetricsKind extends OwnFile {
  /** Of an option that names one. */
  example: string;
}

const PROMETHEUS: MetricsKind = {
  what: "metrics of blockferry in the text format of Prometheus",
  beginning: /^# HELP blockferry_/,
  example: "--metrics-file blockferry.prom",
};
const EMF: MetricsKind = {
  what: "metrics in CloudWatch's embedded metric format",
  beginning: /^\{"_aws":/,
  example: "--emf-file blockferry.log, or --emf-file - for standard output",
};
/** Collectors run as users of their own, so that everybody may read new files, whatever the umask. */
const NEW_MODE = 0o644;

export function hasMetrics({ prometheus, emf }: MetricsFiles): boolean {
  return prometheus !== undefined || emf !== undefined;
}

/**
 * Refuses what is no file of metrics, before a run. A place that cannot be looked at is no reason not to run: `writeMetrics`
 * tells of it.
 * @throws MetricsNotWritable
 */
export async function refuseForeignFiles({ prometheus, emf }: MetricsFiles): Promise<void> {
  if (prometheus !== undefined) await refuseForeign(prometheus, PROMETHEUS).catch(throwRefusal);
  if (emf !== undefined && emf !== "-") await refuseForeign(emf, EMF).catch(throwRefusal);
}

/**
 * Tells of a run that has ended. What is there is looked at again: a restore may just have made a file of that name.
 * @param last the last run of each command and instance, this one included
 */
export async function writeMetrics(
  { prometheus, emf }: MetricsFiles,
  record: RunRecord,
  last: RunRecord[],
  jobs?: JobCounts,
): Promise<void> {
  if (emf !== undefined) await appendLines(emf, emfLines(record));
  if (prometheus === undefined) return;
  await refuseForeign(prometheus, PROMETHEUS);
  const earlier = lastSuccesses(await readIfThere(prometheus));
  await replaceFile(prometheus, prometheusText(last, earlier, jobs), NEW_MODE);
}

async function appendLines(path: string, lines: string[]): Promise<void> {
  const text = lines.map((line) => `${line}\n`).join("");
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  await refuseForeign(path, EMF);
  await appendToFile(path, text, NEW_MODE);
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return "";
    throw error;
  }
}

/** @throws MetricsNotWritable; what `whyForeign` throws */
async function refuseForeign(path: string, kind: MetricsKind): Promise<void> {
  const reason = await whyForeign(path, kind);
  if (reason === undefined) return;
  throw new BlockferryError({
    code: "MetricsNotWritable",
    message: `Metrics cannot be written to ${path}: ${reason}.`,
    remedy: `Name a new file, as in ${kind.example}`,
    object: path,
  });
}

function throwRefusal(error: unknown): void {
  if (error instanceof BlockferryError) throw error;
}
