import { formatBytes } from "../../command-line/format.js";
import { usage } from "../../command-line/options.js";
import { exitCodeOf } from "../../command-line/output.js";
import { asBlockferryError, type ErrorRecord } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import { readFigures } from "../../report/backup-figures.js";
import { backupPage } from "../../report/backup-page.js";
import { ReportFile } from "../../report/page.js";
import type { Reliance } from "../../repository/jobs/job-replies.js";
import type { Storage } from "../../repository/storage/storage.js";
import { timing } from "../aws/poll.js";
import type { JobPlan, Plan, RestorePlan } from "../plan/plan.js";
import type { Signing } from "../plan/signing.js";
import type { JournalRecord } from "../run/read-journals.js";
import { workerIdOf } from "../steps/launch-worker.js";
import { jobUnderWay } from "../steps/replies.js";
import { type Made, restoredSnapshotIds, restoredVolumeIds } from "../steps/step.js";
import type { ControllerOutput } from "./outputs.js";

interface Result<Json> {
  /** The output with `--json`. */
  json: Json;
  /** The output for people. */
  text: string[];
}

/** Returns the output of a completed job. */
export function jobResult(record: JournalRecord): Result<ControllerOutput<"resume">> {
  const { plan } = record;
  return plan.kind === "backup" ? backupResult(record, plan) : restoreResult(record, plan);
}

/** Returns the output of a completed backup. */
export function backupResult(
  { job, made: { reliance }, outcome }: JournalRecord,
  { route }: Plan,
): Result<ControllerOutput<"backup">> {
  const point = pointOf(outcome);
  return {
    json: { point, job, route, reliance: reliance ?? null },
    text: [`Recovery point ${point}`, ...(reliance === undefined ? [] : relianceLines(reliance))],
  };
}

/** Returns the output of a completed restore, without the description of its recovery point. */
export function restoreResult(
  { job, made, outcome }: JournalRecord,
  plan: RestorePlan,
): Result<Omit<ControllerOutput<"restore">, "recoveryPoint">> {
  const point = pointOf(outcome);
  const to = plan.request.to === "snapshot" ? snapshotsOf(plan, made) : volumesOf(plan, made);
  return {
    json: { point, job, route: plan.route, ...to.json },
    text: [`Restored recovery point ${point} to`, ...to.lines],
  };
}

function pointOf(outcome: JournalRecord["outcome"]): string {
  return outcome?.ok === true ? outcome.point : "";
}

function relianceLines({ unreadBytes, provenBytes, storedAgainBytes }: Reliance): string[] {
  const lines: [number, string][] = [
    [unreadBytes, "that it relies on are in packs that no verify of the worker has read"],
    [provenBytes, "that it relies on were read and proven"],
    [
      storedAgainBytes,
      "were WRONG in the repository and stored again; run: blockferry-agent verify --read-data",
    ],
  ];
  return lines.filter(([bytes]) => bytes > 0).map(([bytes, what]) => `  ${formatBytes(bytes)} ${what}`);
}

function volumesOf(plan: RestorePlan, made: Made) {
  const ids = restoredVolumeIds(plan, made);
  const volumes = plan.volumes.map(({ name, unreadableBytes }) => ({
    ...{ name, volumeId: ids[name] ?? null, device: made.restoredDevices?.[name] ?? null, unreadableBytes },
  }));
  const lines = volumes.map(
    ({ name, volumeId, device, unreadableBytes }) =>
      `  ${name}: ${volumeId}${device === null ? "" : ` as ${device}`}${unreadableNote(unreadableBytes)}`,
  );
  const { instanceId } = made;
  if (instanceId === undefined) return { json: { volumes }, lines };
  return { json: { volumes, instanceId }, lines: [`  instance ${instanceId}`, ...lines] };
}

function snapshotsOf(plan: RestorePlan, made: Made) {
  const ids = restoredSnapshotIds(plan, made);
  const snapshots = plan.volumes.map(({ name, unreadableBytes }) => ({
    ...{ name, snapshotId: ids[name] ?? null, unreadableBytes },
  }));
  const lines = snapshots.map(
    ({ name, snapshotId, unreadableBytes }) => `  ${name}: ${snapshotId}${unreadableNote(unreadableBytes)}`,
  );
  return { json: { snapshots }, lines };
}

/** Returns a note about unreadable blocks, which the restore fills with zeros. */
function unreadableNote(unreadableBytes: number): string {
  return unreadableBytes === 0
    ? ""
    : ` (zeros in place of ${unreadableBytes} bytes that the backup could not read)`;
}

const NO_FIGURES = "the agent left no figures. Its log shows the reason (journalctl -u blockferry-agent).";

/** The report page of a job's backup, on the controller's machine. */
export class JobReport {
  private constructor(
    private readonly path: string,
    private readonly file: ReportFile,
  ) {}

  /**
   * Checks that the page can be written, before the job creates any resource.
   * @returns undefined when no report is requested
   * @throws ReportNotWritable
   */
  static async prepare(path: string | undefined): Promise<JobReport | undefined> {
    return path === undefined ? undefined : new JobReport(path, await ReportFile.prepare(path));
  }

  /**
   * Writes the page from the agent's figures of a stored backup.
   * Never throws: a failed report does not fail the backup.
   * @param note receives the reason when no page is written
   */
  async write(
    { job, plan, outcome, made }: JournalRecord,
    storage: Storage,
    signing: Signing,
    note: (text: string) => void,
  ) {
    if (plan.kind !== "backup" || outcome?.ok !== true) return;
    try {
      const { instanceId } = plan.instance;
      const replies = await signing.replies(job, workerIdOf({ plan, made }));
      const expected = { point: outcome.point, machine: instanceId };
      const figures = await readFigures(storage, job, expected, replies);
      if (figures === undefined) note(`no report: ${NO_FIGURES}`);
      else await this.file.write(backupPage(figures));
    } catch (error) {
      const { message, remedy } = asBlockferryError(error);
      note(
        `the report could not be written: ${message} ${remedy} To write it then: blockferry resume ${job} --report ${shellWord(this.path)}`,
      );
    }
  }
}

/** @throws Usage for a job whose agent stores no figures */
export function refuseUnreported({ job, plan }: JournalRecord): void {
  if (plan.kind === "backup" && plan.request.options.report === true) return;
  const what = plan.kind === "backup" ? "a backup that was started without --report" : "a restore";
  throw usage(`${job} is ${what}: its agent leaves no figures for a report.`, "Resume it without --report.");
}

/** Sets the process's exit code to the highest one of the problems. */
export function exitWithProblems(problems: ErrorRecord[]): void {
  if (problems.length > 0) process.exitCode = Math.max(...problems.map(exitCodeOf));
}

/** Returns two lines for each problem: the error and the remedy. */
export function describeProblems(problems: ErrorRecord[]): string[] {
  return problems.flatMap(({ code, message, remedy }) => [`✗ ${code}: ${message}`, `  ${remedy}`]);
}

/**
 * Returns a note when a job will wait for another one.
 * A worker of its own has no other jobs.
 */
export async function queueNotes(
  storage: Storage,
  { request, jobId }: JobPlan,
  signing: Signing,
): Promise<string[]> {
  const { workerInstance } = request;
  if (workerInstance.kind !== "existing") return [];
  const running = await jobUnderWay(
    ...([storage, workerInstance.instanceId, jobId, signing] as const),
    timing().heartbeatMs,
  );
  if (running === undefined) return [];
  return [
    `worker ${workerInstance.instanceId} runs ${running.job}, and does one job at a time, so this job waits for it. To stop it: blockferry cancel ${running.job}`,
  ];
}
