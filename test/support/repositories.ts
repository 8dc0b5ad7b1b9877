import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { AgentOutput } from "../../agent/cli/outputs.js";
import type { VerifyReport } from "../../agent/verify/verify.js";
import type { ErrorRecord } from "../../foundation/errors.js";
import { initRepository } from "../../repository/open/repository.js";
import { findPoint } from "../../repository/points/find-point.js";
import { agent, agentJson } from "./agent.js";
import { openWithPassphrase } from "./encryption.js";
import { restoreInProcess, verifyInProcess } from "./in-process.js";
import { assertSameContent } from "./same-content.js";
import type { ProgramResult } from "./start-program.js";

export type BackupOutput = AgentOutput<"backup">;
export type VerifyOutput = AgentOutput<"verify">;
export type ListOutput = AgentOutput<"list">;

/** A range of bytes of a volume in a recovery point. */
export interface VolumeRange {
  point: string;
  volume: string;
  offset: number;
  length: number;
}

/** Makes a repository. @returns its path, for `--repo` */
export async function newRepository(folder: string, name = "repo"): Promise<string> {
  const repo = join(folder, name);
  await initPlain(repo);
  return repo;
}

/** Makes a repository that is not encrypted. */
export async function initPlain(repo: string): Promise<void> {
  await initRepository(repo);
}

export function backUp(
  repo: string,
  devices: string | string[],
  ...options: string[]
): Promise<BackupOutput> {
  const wanted = [devices].flat().map((device) => `--device=${device}`);
  return agentJson<BackupOutput>("backup", "--repo", repo, ...wanted, ...options);
}

export async function restoreTo(
  repo: string,
  point: string,
  targets: string | string[],
  ...options: string[]
): Promise<void> {
  const wanted = [targets].flat().map((target) => `--target=${target}`);
  await agentJson("restore", "--repo", repo, "--point", point, ...wanted, ...options);
}

/** Restores a point of one volume, and compares it with the image. */
export async function assertRestores(
  repo: string,
  point: string,
  expected: string,
  target: string,
): Promise<void> {
  const repository = await openWithPassphrase(repo);
  await restoreInProcess(repository, [{ point: await findPoint(repository.storage, point), path: target }]);
  await assertSameContent(target, expected);
}

export async function pointIds(repo: string): Promise<string[]> {
  const { points } = await agentJson<ListOutput>("list", "--repo", repo);
  return points.map(({ id }) => id);
}

/** Verifies the repository; `"data"` also reads every pack. */
export async function assertWhole(repo: string, depth: "metadata" | "data" = "data"): Promise<VerifyReport> {
  const report = await verifyInProcess(await openWithPassphrase(repo), depth === "data" ? 100 : 0);
  assert.deepEqual({ problems: report.problems, damaged: report.damaged }, { problems: [], damaged: [] });
  return report;
}

/** Runs the agent with `--json`, and expects an error with exit code `exit`. @returns the error */
export async function agentFails(exit: number, ...args: string[]): Promise<ErrorRecord> {
  return failure(exit, await agent(...args, "--json"));
}

/** Returns the error in the result of a run with `--json`. */
export function failure(exit: number, result: ProgramResult): ErrorRecord {
  const said = `exit ${result.code ?? result.signal}\n${result.stdout}\n${result.stderr}`;
  assert.equal(result.code, exit, said);
  const { error } = JSON.parse(result.stdout) as { error?: ErrorRecord };
  assert.ok(error !== undefined, said);
  assert.ok(error.message.length > 0 && error.remedy.length > 0, said);
  assert.notEqual(error.code, "Unexpected", said);
  return error;
}

/** Returns the bytes of all files below a folder of the repository; 0 when the folder does not exist. */
export async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for (const path of await filesBelow(folder)) bytes += (await stat(path).catch(() => ({ size: 0 }))).size;
  return bytes;
}

export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Returns the temporary files that running or killed uploads have in the repository. */
export function tempFiles(repo: string): Promise<string[]> {
  return filesBelow(join(repo, "tmp"));
}
