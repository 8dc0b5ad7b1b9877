import { formatBytes, formatPercent } from "../../command-line/format.js";
import { BlockferryError, type ErrorCode, NOT_CONNECTED } from "../../foundation/errors.js";
import { pause } from "../../foundation/retry.js";
import { type Job, writeJob } from "../../repository/jobs/job.js";
import { jobKey } from "../../repository/jobs/job-key.js";
import { isCancelled, type JobStatus, requestCancel } from "../../repository/jobs/job-replies.js";
import type { Replies } from "../../repository/jobs/signed-document.js";
import { isThere } from "../../repository/storage/read-object.js";
import { use } from "../aws/action-use.js";
import { InstanceWatch } from "../aws/instances.js";
import { GIB, type Plan, type RestorePlan } from "../plan/plan.js";
import { workerIdOf } from "./launch-worker.js";
import { HeartbeatWatch, hearProvenResult, hearResult, hearStatus, WorkerQueue } from "./replies.js";
import { madeId, type Step, type StepContext } from "./step.js";

/**
 * Validity of a job after it was written.
 * An agent refuses a job that it finds later. The time is longer than any backup that the job may have to
 * wait for.
 */
const JOB_VALID_MS = 7 * 24 * 60 * 60 * 1000;
/** Interval of polls for other jobs' heartbeats, as a multiple of the interval for this job's own. */
const QUEUE_LOOK_FACTOR = 5;

/** Writes the job for the agent, and follows its heartbeat until there is a result. */
const runAnyJob = {
  uses: () => use("worker", "ec2:DescribeInstances", "any"),
  make: async (context: StepContext) => {
    try {
      await writeJob(context.storage, jobOf(context, new Date()), context.signing.jobs, context.signal);
    } catch (error) {
      if (!(error instanceof BlockferryError) || error.code !== "ObjectExists") throw error;
    }
    return {};
  },
  wait: async (context: StepContext) => {
    const heartbeat = new HeartbeatWatch(context.timing.agentStartMs, context.timing.heartbeatMs);
    const lookMs = context.timing.pollMs * QUEUE_LOOK_FACTOR;
    const queue = new WorkerQueue(
      ...([context.storage, workerIdOf(context), context.plan.jobId, context.signing] as const),
      lookMs,
    );
    const watch = watchWorker(context);
    const { storage, plan } = context;
    const replies = await repliesTo(context);
    for (;;) {
      context.signal.throwIfAborted();
      const askedAt = performance.now();
      const result = await hearResult(storage, plan.jobId, replies);
      if (result?.outcome.ok === true) {
        const { point, reliance } = result.outcome;
        return { point, ...(reliance === undefined ? {} : { reliance }) };
      }
      if (result?.outcome.ok === false) throw new BlockferryError(result.outcome.error);
      const { status, problem } = await hearStatus(storage, plan.jobId, replies);
      heartbeat.hear(status?.sequence, performance.now() - askedAt);
      if (status !== undefined) context.progress(describe(status, heartbeat.rate(status.doneBytes)));
      else await waitInLine(context, queue, heartbeat);
      await assertWorks(watch, workerIdOf(context), heartbeat, problem);
      await pause(context.timing.pollMs, context.signal);
    }
  },
  undo: async (context: StepContext) => {
    const { storage, plan, timing } = context;
    if (!(await isThere(storage, jobKey(plan.jobId, "job")))) return;
    const heartbeat = new HeartbeatWatch(timing.heartbeatMs, timing.heartbeatMs);
    const watch = watchWorker(context);
    // An agent that is silent or does not stop loses its devices anyway: they are detached next.
    const deadline = performance.now() + timing.agentStopMs;
    // Without KMS no reply can be verified, but the agent is still asked to stop.
    const replies = await repliesTo(context).catch(async (error) => {
      await requestCancel(storage, plan.jobId);
      throw error;
    });
    while ((await hearProvenResult(storage, plan.jobId, replies)) === undefined) {
      if (heartbeat.isLost() || performance.now() > deadline) return;
      if (!(await isCancelled(storage, plan.jobId))) await requestCancel(storage, plan.jobId);
      const askedAt = performance.now();
      const { status } = await hearStatus(storage, plan.jobId, replies);
      heartbeat.hear(status?.sequence, performance.now() - askedAt);
      if (await hasEnded(watch)) return;
      await pause(timing.pollMs, context.signal);
    }
  },
};

export const runJob: Step<Plan> = {
  ...runAnyJob,
  name: "run-job",
  title: "Backing up",
  makes: "the job's document in the repository; the agent makes a recovery point",
  // The agent may have completed the point before it saw the cancel request; a complete point outweighs the
  // cancel.
  findPoint: async (context) => {
    const { storage, plan } = context;
    const outcome = (await hearProvenResult(storage, plan.jobId, await repliesTo(context)))?.outcome;
    return outcome?.ok === true ? outcome.point : undefined;
  },
};

/** Unlike a backup it finds no point: a restore succeeds only when its volumes are delivered. */
export const fillVolumes: Step<RestorePlan> = {
  ...runAnyJob,
  name: "run-job",
  title: "Restoring",
  makes: "the job's document in the repository; the agent fills the volumes",
};

function repliesTo(context: StepContext): Promise<Replies> {
  return context.signing.replies(context.plan.jobId, workerIdOf(context), context.signal);
}

/** Extends the deadline while the agent runs another job, because it runs jobs one after another. */
async function waitInLine(
  context: StepContext,
  queue: WorkerQueue,
  heartbeat: HeartbeatWatch,
): Promise<void> {
  const running = await queue.running();
  if (running === undefined) return;
  heartbeat.hearOther();
  context.progress(`waiting for the worker, which runs ${running.job}: ${describe(running, 0)}`);
}

function watchWorker(context: StepContext): InstanceWatch {
  return new InstanceWatch(context.worker, workerIdOf(context), context.timing.visibleMs);
}

async function hasEnded(watch: InstanceWatch): Promise<boolean> {
  try {
    const state = (await watch.findAlive())?.State?.Name;
    return state !== undefined && state !== "running";
  } catch (error) {
    if (error instanceof BlockferryError && error.code === "WorkerLost") return true;
    if (isOutage(error)) return false;
    throw error;
  }
}

/**
 * Throws when the worker or its agent is lost.
 * @param problem the error of the last heartbeat, if there was one
 * @throws WorkerLost
 */
async function assertWorks(
  watch: InstanceWatch,
  workerId: string,
  heartbeat: HeartbeatWatch,
  problem: BlockferryError | undefined,
): Promise<void> {
  try {
    await watch.findAlive();
  } catch (error) {
    // An alive agent proves an alive worker, so an outage of EC2 does not end hours of work.
    if (!isOutage(error) || !heartbeat.hasStarted() || heartbeat.isLost()) throw error;
  }
  if (!heartbeat.isLost()) return;
  throw new BlockferryError({
    code: "WorkerLost",
    message: `${
      heartbeat.hasStarted()
        ? `The agent on worker ${workerId} has stopped sending heartbeats.`
        : `No agent on worker ${workerId} took the job.`
    }${problem === undefined ? "" : ` ${problem.message}`}`,
    remedy: heartbeat.hasStarted()
      ? "Look at the agent's log (journalctl -u blockferry-agent) and the instance's memory; then run it again: a backup stores only the missing data."
      : "Check that `blockferry-agent serve` runs there with the same repository, and that the worker's role and network let it reach the bucket.",
    object: workerId,
  });
}

const OUTAGE: ReadonlySet<ErrorCode> = new Set(["AwsUnavailable", "CredentialsInvalid", ...NOT_CONNECTED]);

function isOutage(error: unknown): boolean {
  return error instanceof BlockferryError && OUTAGE.has(error.code);
}

function describe({ state, doneBytes, totalBytes }: JobStatus, rate: number): string {
  if (state !== "running") return state;
  const done = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} ${formatPercent(doneBytes, totalBytes)}`;
  return rate === 0 ? done : `${done}, ${formatBytes(rate)}/s`;
}

function jobOf(context: StepContext, now: Date): Job {
  const { plan, made } = context;
  const replyKey = context.signing.replyKeyArn;
  const common = {
    version: 1 as const,
    id: plan.jobId,
    repository: plan.repositoryId,
    createdAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + JOB_VALID_MS).toISOString(),
    worker: workerIdOf(context),
    ...(replyKey === undefined ? {} : { replyKey }),
  };
  if (plan.kind === "restore") {
    const { point, request } = plan;
    const volumes = plan.volumes.map(({ name, sizeGib }) => ({
      ...{ name, volumeId: madeId(made.volumes, name), sizeBytes: sizeGib * GIB },
      attachName: madeId(made.attachments, name),
    }));
    return { ...common, kind: "restore", point, volumes, options: request.options };
  }
  return {
    ...common,
    kind: "backup",
    volumes: plan.volumes.map(({ name, origin }) => ({
      name,
      volumeId: madeId(made.volumes, origin.volumeId),
      sizeBytes: origin.sizeBytes,
      attachName: madeId(made.attachments, origin.volumeId),
      origin,
    })),
    instance: { ...plan.instance, snapshotTime: made.snapshotTime ?? now.toISOString() },
    options: plan.request.options,
    tags: plan.request.tags,
  };
}
