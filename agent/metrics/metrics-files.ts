import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../../foundation/errors.js";
import { atPlace, type HeldPlace, RefusedPath } from "../../foundation/held-place.js";
import {
  type OwnFile,
  openOwnFile,
  refuseForeignFile,
  replaceFile,
  tryReplacing,
} from "../../foundation/write-file.js";
import { emfLines } from "./emf.js";
import { type JobCounts, lastSuccesses, prometheusText } from "./prometheus.js";
import type { RunRecord } from "./run-record.js";

/** The metrics files; without either, no metrics are written. */
export interface MetricsFiles {
  /** Replaced as a whole, so that no reader sees half of it. */
  prometheus: string | undefined;
  /** Appended to; `-` is standard output. */
  emf: string | undefined;
}

interface MetricsKind extends OwnFile {
  /** An option that names such a file. */
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
/** Collectors run as other users, so everyone can read new files, independent of the umask. */
const NEW_MODE = 0o644;

export function hasMetrics({ prometheus, emf }: MetricsFiles): boolean {
  return prometheus !== undefined || emf !== undefined;
}

/**
 * Refuses files that do not contain metrics, before a run.
 * A place that cannot be examined does not prevent the run: `writeMetrics` reports it.
 * @throws MetricsNotWritable
 */
export async function refuseForeignFiles({ prometheus, emf }: MetricsFiles): Promise<void> {
  if (prometheus !== undefined) await refuseForeign(prometheus, PROMETHEUS);
  if (emf !== undefined && emf !== "-") await refuseForeign(emf, EMF);
}

/**
 * Writes the metrics of a finished run.
 * It checks the files again: a restore may just have created a file of that name.
 * @param last the last run per command and instance
 * @returns an error per file that could not be written; the other file is written anyway
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
    emf: (place) => appendToFile(place, EMF, lines, NEW_MODE),
    prometheus: async (place) => {
      const earlier = lastSuccesses(await readPrometheus(place));
      await replaceFile(place, prometheusText(last, earlier, jobs), NEW_MODE);
    },
  });
}

/** Checks whether metrics can be written, with the same errors as `writeMetrics`. */
export function tryMetrics(files: MetricsFiles): Promise<BlockferryError[]> {
  return writeEach(files, {
    emf: (place) => appendToFile(place, EMF, "", NEW_MODE),
    prometheus: async (place) => {
      await refuseForeignFile(place, PROMETHEUS);
      await tryReplacing(place);
    },
  });
}

async function writeEach(
  { prometheus, emf }: MetricsFiles,
  write: Record<keyof MetricsFiles, (place: HeldPlace) => Promise<void>>,
): Promise<BlockferryError[]> {
  const failures: BlockferryError[] = [];
  if (emf !== undefined && emf !== "-") failures.push(...(await failureOf(emf, EMF, write.emf)));
  if (prometheus !== undefined) failures.push(...(await failureOf(prometheus, PROMETHEUS, write.prometheus)));
  return failures;
}

async function failureOf(
  path: string,
  kind: MetricsKind,
  write: (place: HeldPlace) => Promise<void>,
): Promise<BlockferryError[]> {
  try {
    await atPlace(path, write);
    return [];
  } catch (error) {
    return [notWritable(path, kind, error)];
  }
}

/**
 * @returns an empty text if there is no file
 * @throws the errors of `openOwnFile`
 */
async function readPrometheus(place: HeldPlace): Promise<string> {
  const file = await openOwnFile(place, PROMETHEUS);
  try {
    return (await file?.readFile("utf8")) ?? "";
  } finally {
    await file?.close();
  }
}

/** @throws MetricsNotWritable */
async function refuseForeign(path: string, kind: MetricsKind): Promise<void> {
  try {
    await atPlace(path, (place) => refuseForeignFile(place, kind));
  } catch (error) {
    if (error instanceof RefusedPath) throw notWritable(path, kind, error);
  }
}

function notWritable(path: string, { example }: MetricsKind, cause: unknown): BlockferryError {
  const reason = systemErrorMessage(cause);
  return new BlockferryError(
    {
      code: "MetricsNotWritable",
      message: `Metrics cannot be written to ${path}: ${reason}.`,
      remedy: `Name a new file in a folder that exists and that blockferry may write to, as in ${example}`,
      object: path,
    },
    cause,
  );
}

/**
 * Appends to a file of a kind, creating it if needed.
 * @param newMode mode of a new file, independent of the umask
 * @throws the errors of `openOwnFile`
 */
async function appendToFile(place: HeldPlace, kind: OwnFile, text: string, newMode: number): Promise<void> {
  const file = await openToAppend(place, kind, newMode);
  try {
    // Another user could have linked this name to someone else's empty file.
    if ((await file.stat()).nlink > 1) throw new RefusedPath("the existing file has other hard links");
    await file.appendFile(text);
  } finally {
    await file.close();
  }
}

async function openToAppend(place: HeldPlace, kind: OwnFile, newMode: number): Promise<FileHandle> {
  for (;;) {
    const file = await openOwnFile(place, kind, constants.O_RDWR | constants.O_APPEND);
    if (file !== undefined) return file;
    try {
      return await place.create(place.name, newMode, constants.O_APPEND);
    } catch (error) {
      // Another run created it meanwhile.
      if (systemErrorCode(error) !== "EEXIST") throw error;
    }
  }
}
