import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { formatBytes, formatPercent, formatTable } from "../../command-line/format.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { type JobStatus, readStatus } from "../../repository/jobs/job-status.js";
import { openRepository } from "../../repository/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { isAlive } from "../journal.js";
import type { JournalRecord } from "../journal-record.js";
import { readJournals } from "../read-journals.js";
import { workerIdOf } from "../steps/launch-worker.js";
import { runJob } from "../steps/run-job.js";
import { timing } from "../timing.js";
import { jobUnderWay } from "../worker-queue.js";
import { findJournal } from "./job-argument.js";
import { jobResult } from "./job-result.js";
import { describeProblems, exitWithProblems } from "./problems.js";

interface StatusArguments extends StorageArguments {
  job: string | undefined;
  json: boolean;
}

export const statusCommand: Command<StatusArguments> = {
  command: "status [job]",
  describe: "Show how far a job is, or all jobs",
  builder: (parser: Argv) =>
    parser
      .positional("job", { type: "string", describe: "Id of the job; all jobs without it" })
      .options({ ...storageOptions })
      .example(
        "$0 status job-20261123T112150Z-3f9a1c2b --repo s3://backups/fleet",
        "one job",
      ) as unknown as Argv<StatusArguments>,
  handler: async ({ job, json, ...args }) => {
    const { storage } = await openRepository(storageLocation(args));
    if (job === undefined) {
      const { records, problems } = await readJournals(storage);
      exitWithProblems(problems);
      const jobs = records.map(summaryOf);
      const table = jobs.length === 0 ? "No job yet." : jobTable(jobs);
      return printResult(json, { jobs, problems }, [table, ...describeProblems(problems)].join("\n"));
    }
    const record = await findJournal(storage, job);
    const status = await readStatus(storage, job);
    const waitsFor = status === undefined ? await aheadOf(storage, record) : undefined;
    const { plan: _, ...rest } = record;
    const result = { ...rest, ...summaryOf(record), agent: status ?? null, waitsFor: waitsFor?.job ?? null };
    printResult(json, result, describeJob(record, status, waitsFor));
  },
};

/** The job that the agent is at instead of this one, which waits in line. */
async function aheadOf(storage: Storage, { job, plan, made, steps }: JournalRecord) {
  if (steps.find(({ name }) => name === runJob.name)?.state !== "running") return undefined;
  return jobUnderWay(storage, workerIdOf({ plan, made }), job, timing().heartbeatMs);
}

function summaryOf(record: JournalRecord) {
  const { job, plan, state, outcome } = record;
  const controller =
    state === "finished" ? "ended" : isAlive(record, timing().heartbeatMs) ? "running" : "gone";
  const point = outcome?.ok === true ? outcome.point : null;
  const instance = plan.kind === "backup" ? plan.instance.instanceId : null;
  return { job, kind: plan.kind, instance, route: plan.route, state, controller, point };
}

function jobTable(jobs: ReturnType<typeof summaryOf>[]): string {
  const rows = jobs.map(({ job, kind, instance, state, controller, point }) => [
    job,
    instance ?? kind,
    state,
    controller,
    point ?? "-",
  ]);
  return formatTable([["JOB", "INSTANCE", "STATE", "CONTROLLER", "POINT"], ...rows]);
}

function describeJob(
  record: JournalRecord,
  status: JobStatus | undefined,
  waitsFor: JobStatus | undefined,
): string {
  const { controller, state } = summaryOf(record);
  const { outcome, steps, plan } = record;
  const of = plan.kind === "backup" ? ` of ${plan.instance.instanceId}` : `, restoring ${plan.point}`;
  const hint = controller === "gone" ? `; see: blockferry resume ${record.job}, or blockferry cleanup` : "";
  return [
    `Job ${record.job}${of}: ${state}, its controller ${controller}${hint}`,
    formatTable(
      steps.map(({ name, state: stepState, finishedAt }) => [`  ${name}`, stepState, finishedAt ?? ""]),
    ),
    ...(status === undefined
      ? []
      : [
          `Agent on ${status.worker}: ${status.state}, ${formatBytes(status.doneBytes)} of ${formatBytes(status.totalBytes)} (${formatPercent(status.doneBytes, status.totalBytes)}), heard of at ${status.updatedAt}`,
        ]),
    ...(waitsFor === undefined ? [] : [`Waiting for worker ${waitsFor.worker}, which runs ${waitsFor.job}`]),
    ...(outcome?.ok === true ? [jobResult(record).text] : []),
    ...(outcome?.ok === false ? [`Failed: ${outcome.error.code}: ${outcome.error.message}`] : []),
  ].join("\n");
}
