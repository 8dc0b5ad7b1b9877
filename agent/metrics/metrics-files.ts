import { readFile } from "node:fs/promises";
import { BlockferryError, systemErrorCode } from "../../foundation/blockferry-error.js";
import { type OwnFile, whyForeign } from "../../foundation/own-file.js";
import { replaceFile, tryReplacing } from "../../foundation/replace-file.js";
import { appendToFile } from "../append-to-file.js";
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
 * @param last the last run of each command and instance
 * @returns why not, for each file that could not be written; the other one is all the same
 */
export async function writeMetrics(
  files: MetricsFiles,
  record: RunRecord,
  last: RunRecord[],
  jobs?: JobCounts,
): Promise<BlockferryError[]> {
  const lines = emfLines(record)
    .map((line) => `${line}\n`)
    .join("");
  if (files.emf === "-") process.stdout.write(lines);
  return writeEach(files, {
    emf: (path) => appendToFile(path, lines, NEW_MODE),
    prometheus: async (path) => {
      const earlier = lastSuccesses(await readIfThere(path));
      await replaceFile(path, prometheusText(last, earlier, jobs), NEW_MODE);
    },
  });
}

/** Finds out whether metrics can be written, as `writeMetrics` tells it. */
export function tryMetrics(files: MetricsFiles): Promise<BlockferryError[]> {
  return writeEach(files, { emf: (path) => appendToFile(path, "", NEW_MODE), prometheus: tryReplacing });
}

async function writeEach(
  { prometheus, emf }: MetricsFiles,
  write: Record<keyof MetricsFiles, (path: string) => Promise<void>>,
): Promise<BlockferryError[]> {
  const failures: BlockferryError[] = [];
  if (emf !== undefined && emf !== "-") failures.push(...(await failureOf(emf, EMF, write.emf)));
  if (prometheus !== undefined) failures.push(...(await failureOf(prometheus, PROMETHEUS, write.prometheus)));
  return failures;
}

async function failureOf(
  path: string,
  kind: MetricsKind,
  write: (path: string) => Promise<void>,
): Promise<BlockferryError[]> {
  try {
    await refuseForeign(path, kind);
    await write(path);
    return [];
  } catch (error) {
    if (error instanceof BlockferryError) return [error];
    return [notWritable(path, kind, error instanceof Error ? error.message : String(error), error)];
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

/** @throws MetricsNotWritable; what `whyForeign` throws */
async function refuseForeign(path: string, kind: MetricsKind): Promise<void> {
  const reason = await whyForeign(path, kind);
  if (reason !== undefined) throw notWritable(path, kind, reason);
}

function notWritable(
  path: string,
  { example }: MetricsKind,
  reason: string,
  cause?: unknown,
): BlockferryError {
  return new BlockferryError(
    {
      code: "MetricsNotWritable",
      message: `Metrics cannot be written to ${path}: ${reason}.`,
      remedy: `Name a new file in a folder that exists and may be written to, as in ${example}`,
      object: path,
    },
    cause,
  );
}

function throwRefusal(error: unknown): void {
  if (error instanceof BlockferryError) throw error;
}
