import type { Argv } from "yargs";
import { formatBytes, formatPercent, formatTable } from "../../command-line/format.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { JobStatus } from "../../repository/jobs/job-replies.js";
import { openRepository, profileOf } from "../../repository/open/repository.js";
import type { Storage } from "../../repository/storage/storage.js";
import { timing } from "../aws/poll.js";
import { openSigning, type Signing } from "../plan/signing.js";
import { seemsAlive } from "../run/journal.js";
import { type JournalRecord, readJournals } from "../run/read-journals.js";
import { workerIdOf } from "../steps/launch-worker.js";
import { hearStatus, jobUnderWay } from "../steps/replies.js";
import { runJob } from "../steps/run-job.js";
import { findJournal } from "./access-options.js";
import { describeProblems, exitWithProblems, jobResult } from "./job-result.js";
import type { ControllerOutput } from "./outputs.js";
import { parseSigning, type SigningArguments, signingOptions } from "./worker-options.js";

interface StatusArguments extends StorageArguments, SigningArguments {
  job: string | undefined;
  json: boolean;
}

export const statusCommand: Command<StatusArguments> = {
  command: "status [job]",
  describe: "Show the progress of a job, or all jobs",
  builder: (parser: Argv) =>
    parser
      .positional("job", { type: "string", describe: "Id of the job; all jobs without it" })
      .options({ ...storageOptions, ...signingOptions })
      .example(
        "$0 status job-20261123T112150Z-3f9a1c2b --repo s3://backups/fleet",
        "one job",
      ) as unknown as Argv<StatusArguments>,
  handler: async ({ job, json, ...args }) => {
    const location = storageLocation(args);
    const keys = parseSigning(args);
    const repository = await openRepository(location);
    const { storage } = repository;
    const signing = openSigning(repository, keys, { profile: profileOf(location) });
    if (job === undefined) {
      const { records, problems } = await readJournals(storage, signing);
      exitWithProblems(problems);
      const jobs = records.map(summaryOf);
      const table = jobs.length === 0 ? ["No job yet."] : jobTable(jobs);
      return printResult<ControllerOutput<"status">>(json, { jobs, problems }, [
        ...table,
        ...describeProblems(problems),
      ]);
    }
    const record = await findJournal(storage, job, signing);
    const replies = await signing.replies(job, workerIdOf(record));
    const { status, problem } = await hearStatus(storage, job, replies);
    const waitsFor = status === undefined ? await aheadOf(storage, record, signing) : undefined;
    const { plan: _, ...rest } = record;
    const problems = problem === undefined ? [] : [problem.toRecord()];
    exitWithProblems(problems);
    const result = {
      ...{ ...rest, ...summaryOf(record), agent: status ?? null },
      ...{ waitsFor: waitsFor?.job ?? null, problems },
    };
    const lines = [...describeJob(record, status, waitsFor), ...describeProblems(problems)];
    printResult<ControllerOutput<"status JOB">>(json, result, lines);
  },
};

/** Returns the job that the agent is running while this job waits. */
async function aheadOf(storage: Storage, { job, plan, made, steps }: JournalRecord, signing: Signing) {
  if (steps.find(({ name }) => name === runJob.name)?.state !== "running") return undefined;
  return jobUnderWay(storage, workerIdOf({ plan, made }), job, signing, timing().heartbeatMs);
}

type JobSummary = ControllerOutput<"status">["jobs"][number];

function summaryOf(record: JournalRecord): JobSummary {
  const { job, plan, state, outcome } = record;
  const controller =
    state === "finished" ? "ended" : seemsAlive(record, timing().heartbeatMs) ? "running" : "gone";
  const point = outcome?.ok === true ? outcome.point : null;
  const instance = plan.kind === "backup" ? plan.instance.instanceId : null;
  return { job, kind: plan.kind, instance, route: plan.route, state, controller, point };
}

function jobTable(jobs: JobSummary[]): string[] {
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
): string[] {
  const { controller, state } = summaryOf(record);
  const { outcome, steps, plan } = record;
  const of = plan.kind === "backup" ? ` of ${plan.instance.instanceId}` : `, restoring ${plan.point}`;
  const hint = controller === "gone" ? `; see: blockferry resume ${record.job}, or blockferry cleanup` : "";
  return [
    `Job ${record.job}${of}: ${state}, its controller ${controller}${hint}`,
    ...formatTable(
      steps.map(({ name, state: stepState, finishedAt }) => [`  ${name}`, stepState, finishedAt ?? ""]),
    ),
    ...(status === undefined
      ? []
      : [
          `Agent on ${status.worker}: ${status.state}, ${formatBytes(status.doneBytes)} of ${formatBytes(status.totalBytes)} (${formatPercent(status.doneBytes, status.totalBytes)}), last heartbeat at ${status.updatedAt}`,
        ]),
    ...(waitsFor === undefined ? [] : [`Waiting for worker ${waitsFor.worker}, which runs ${waitsFor.job}`]),
    ...(outcome?.ok === true ? jobResult(record).text : []),
    ...(outcome?.ok === false ? [`Failed: ${outcome.error.code}: ${outcome.error.message}`] : []),
  ];
}
