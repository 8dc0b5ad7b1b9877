import assert from "node:assert/strict";
import { after } from "node:test";
import type { ErrorRecord } from "../../foundation/errors.js";
import { type BackupJob, writeJob } from "../../repository/jobs/job.js";
import { type JobResult, type JobStatus, readResult, readStatus } from "../../repository/jobs/job-replies.js";
import { UNSIGNED_REPLIES } from "../../repository/jobs/signed-document.js";
import type { Repository } from "../../repository/open/repository.js";
import { startAgent } from "./agent.js";
import { openWithPassphrase } from "./encryption.js";
import { makeJob, WORKER } from "./jobs.js";
import type { ProgramResult, RunningProgram } from "./start-program.js";
import { waitUntil } from "./wait-until.js";

/** Short intervals, so that tests do not wait long. */
const INTERVALS = ["--poll-interval=0.1", "--status-interval=0.1"];

/** A repository with jobs, seen from the controller, and the agents that serve it. */
export class ServedRepository {
  private constructor(
    readonly repo: string,
    readonly repository: Repository,
  ) {}

  static async open(repo: string): Promise<ServedRepository> {
    return new ServedRepository(repo, await openWithPassphrase(repo));
  }

  async addJob(volumes: BackupJob["volumes"], fields: Partial<BackupJob> = {}): Promise<BackupJob> {
    const job = makeJob(this.repository.config.id, volumes, fields);
    await writeJob(this.repository.storage, job);
    return job;
  }

  /** Starts a service for `WORKER`. It ends at the latest with the test. */
  serve(options: string[], env: NodeJS.ProcessEnv = {}): RunningProgram {
    const args = ["serve", "--repo", this.repo, "--worker-id", WORKER, "--json", ...INTERVALS, ...options];
    const service = startAgent(args, env);
    after(() => service.process.kill("SIGKILL"));
    return service;
  }

  /** Runs a service until all present jobs are done. */
  serveOnce(options: string[], env: NodeJS.ProcessEnv = {}): Promise<ProgramResult> {
    return this.serve(["--once", ...options], env).result;
  }

  status(job: string): Promise<JobStatus | undefined> {
    return readStatus(this.repository.storage, job, UNSIGNED_REPLIES);
  }

  result(job: string): Promise<JobResult | undefined> {
    return readResult(this.repository.storage, job, UNSIGNED_REPLIES);
  }

  async waitForStatus(job: string, condition: (status: JobStatus) => boolean): Promise<JobStatus> {
    let status: JobStatus | undefined;
    await waitUntil(`the heartbeat of ${job}`, async () => {
      status = await this.status(job);
      return status !== undefined && condition(status);
    });
    return status as JobStatus;
  }

  async waitForResult(job: string): Promise<JobResult> {
    let result: JobResult | undefined;
    await waitUntil(`the result of ${job}`, async () => {
      result = await this.result(job);
      return result !== undefined;
    });
    return result as JobResult;
  }

  /** Waits until a job succeeds. @returns the id of its recovery point */
  async pointOf(job: string): Promise<string> {
    const { outcome } = await this.waitForResult(job);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    return outcome.point;
  }

  /** Waits until a job fails. @returns its error */
  async errorOf(job: string): Promise<ErrorRecord> {
    const { outcome } = await this.waitForResult(job);
    assert.ok(!outcome.ok, JSON.stringify(outcome));
    assert.ok(outcome.error.message.length > 0 && outcome.error.remedy.length > 0);
    return outcome.error;
  }
}

/** Stops a service as systemd does, and checks that it exits with success. */
export async function stopService(service: RunningProgram): Promise<ProgramResult> {
  service.process.kill("SIGTERM");
  const result = await service.result;
  assert.equal(result.code, 0, `${result.signal}\n${result.stdout}\n${result.stderr}`);
  return result;
}
