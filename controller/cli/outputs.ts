import * as z from "zod/mini";
import { described, field, named, type Printed } from "../../command-line/output-schema.js";
import {
  count,
  errors,
  ListSchema,
  PrintedErrorSchema,
  PrintedRelianceSchema,
  point,
  recoveryPoint,
  ShowSchema,
  strings,
} from "../../command-line/outputs.js";
import { byteCount } from "../../repository/format/recovery-point.js";
import { JobStatusSchema } from "../../repository/jobs/job-replies.js";
import { JournalSchema, StepRecordSchema } from "../run/read-journals.js";
import { MadeSchema } from "../steps/step.js";
import {
  CheckSchema,
  PolicySchema,
  RestoreCheckSchema,
  restoreRoute,
  route,
  unreadableBytes,
} from "./plan-outputs.js";

const job = field("Id of the job", z.string());

const BackupSchema = z.strictObject({
  point,
  job,
  route,
  reliance: field(
    "The data that the backup relies on; null if the agent was killed before it wrote its result",
    z.nullable(PrintedRelianceSchema),
  ),
});

const restoredFields = {
  point,
  job,
  route: restoreRoute,
  volumes: field(
    "The new volumes; absent with `--to snapshot`",
    z.optional(
      z.array(
        z.strictObject({
          name: field("Name of the volume in the recovery point", z.string()),
          volumeId: field("Id of the new volume, or null", z.nullable(z.string())),
          device: field("Device name that it is attached as, or null", z.nullable(z.string())),
          unreadableBytes,
        }),
      ),
    ),
  ),
  snapshots: field(
    "The new snapshots, with `--to snapshot`; else absent",
    z.optional(
      z.array(
        z.strictObject({
          name: field("Name of the volume in the recovery point", z.string()),
          snapshotId: field("Id of the new snapshot, or null", z.nullable(z.string())),
          unreadableBytes,
        }),
      ),
    ),
  ),
  instanceId: field("Id of the new instance, with `--to instance`; else absent", z.optional(z.string())),
};

const summary = {
  job,
  kind: field("Kind of the job", z.enum(["backup", "restore"])),
  instance: field("Id of the instance that is backed up; null for a restore", z.nullable(z.string())),
  route,
  state: field(
    "`undoing` until every temporary resource is gone, after success and after failure",
    JournalSchema.shape.state,
  ),
  controller: field(
    "Whether the process that runs the job is alive, as far as its journal shows",
    z.enum(["running", "gone", "ended"]),
  ),
  point: field("Id of the recovery point of a job that succeeded; else null", z.nullable(z.string())),
};

const StatusSchema = z.strictObject({
  jobs: field("The jobs, oldest first", z.array(z.strictObject(summary))),
  problems: field("Journals that cannot be read", errors),
});

const byVolume = (text: string) => `${text}, by volume: its id for a backup, its name for a restore`;

const PrintedMadeSchema = named(
  "Made",
  "The resources that a job has created so far; a field is absent before its step",
  described(MadeSchema, {
    snapshots: byVolume("Ids of snapshots"),
    snapshotTime: "Common time of the snapshots",
    bridgeCopies: byVolume("Ids of copies of snapshots that the instance's account made"),
    workerCopies: byVolume("Ids of copies of snapshots that the worker's account made"),
    targetVolumes: byVolume("Ids of volumes in the account that is restored to"),
    targetSnapshots: byVolume("Ids of snapshots in the account that is restored to"),
    restoredDevices: byVolume("Device names of the restored volumes on their instance"),
    instanceId: "Id of the restored instance",
    workerId: "Id of the launched worker",
    volumes: byVolume("Ids of volumes in the worker's account"),
    attachments: byVolume("Device names of the attachments to the worker"),
    point: "Id of the recovery point",
    reliance: field("The data that the backup relies on", z.optional(PrintedRelianceSchema)),
  }),
);

const AgentStatusSchema = named(
  "AgentStatus",
  "The last heartbeat of the agent, as [status.json](../jobs.md) of the job",
  described(JobStatusSchema, {
    version: "Version of the document",
    job: "Id of the job",
    worker: "Instance id of the worker",
    state:
      "`preparing`: waits for devices, reads the index; `finishing`: writes block maps and the recovery point",
    sequence: "Grows with every heartbeat, also across restarts of the agent",
    updatedAt: "Time of the heartbeat, by the clock of the worker",
    starts: field(
      "How often the job was started; absent from agents that did not count",
      z.optional(
        z.strictObject({
          count: field("Starts since the job last made progress", count),
          furthestBytes: field("The largest `doneBytes` so far", byteCount),
        }),
      ),
    ),
    totalBytes: "Bytes of all volumes",
    doneBytes: "Bytes that are done",
    zeroBytes: "Bytes of all-zero chunks and holes",
    duplicateBytes: "Bytes of chunks that the repository, or this backup, already had",
    newBytes: "Bytes of new chunks, before compression",
    storedBytes: "Bytes of the new chunks and block-map nodes as stored",
  }),
);

const [succeeded, failed] = JournalSchema.shape.outcome.def.innerType.def.options;

const JobStatusOutputSchema = z.strictObject({
  ...summary,
  outcome: field(
    "The outcome; null before the job has one",
    z.nullable(
      z.discriminatedUnion("ok", [
        described(succeeded, { ok: "The job succeeded", point: "Id of the recovery point" }),
        described(failed, { ok: "The job failed", error: field("The reason", PrintedErrorSchema) }),
      ]),
    ),
  ),
  steps: field(
    "The steps, in order",
    z.array(
      described(StepRecordSchema, {
        name: "Name of the step",
        state: "State of the step",
        startedAt: "Start; null before it",
        finishedAt: "End; null before it",
      }),
    ),
  ),
  made: field("Ids of the resources that the job has created", PrintedMadeSchema),
  agent: field("The last heartbeat of the agent, or null", z.nullable(AgentStatusSchema)),
  waitsFor: field("Id of the job that the worker runs instead, or null", z.nullable(z.string())),
  problems: field("Errors of a heartbeat that is not proven", errors),
  owner: field("The process that runs the job", z.string()),
  updatedAt: field("Time of the last change of the journal", z.iso.datetime()),
  version: field("Version of the journal", JournalSchema.shape.version),
});

const cleanupFields = {
  left: field("Ids of jobs that were left alone, because they may still run", strings),
  problems: field("Jobs that could not be cleaned up, and journals that cannot be read", errors),
};

const OF_PLAN = "The optional fields are there if the problems allow a plan";
const OF_POLICY = "The policy itself; without `--json` on several lines";

/** The results of `blockferry` with `--json`, by command. */
export const CONTROLLER_OUTPUTS = {
  backup: BackupSchema,
  restore: z.strictObject({ ...restoredFields, recoveryPoint }),
  "restore --check": field(OF_PLAN, RestoreCheckSchema),
  "restore --policy-for": field(OF_POLICY, PolicySchema),
  check: field(OF_PLAN, CheckSchema),
  status: StatusSchema,
  "status JOB": JobStatusOutputSchema,
  cancel: z.strictObject({
    job,
    cancelled: field("False if the job had already ended", z.boolean()),
  }),
  resume: z.union([
    field("For a backup", BackupSchema),
    field("For a restore", z.strictObject(restoredFields)),
  ]),
  cleanup: z.strictObject({
    cleaned: field("Ids of jobs whose temporary resources were removed", strings),
    ...cleanupFields,
    removed: field("Ids of jobs that finished long ago, and whose documents were removed", strings),
  }),
  "cleanup --dry-run": z.strictObject({
    wouldClean: field(
      "The jobs whose temporary resources would be removed",
      z.array(
        z.strictObject({
          job,
          made: field("Ids of the resources that the job has created", PrintedMadeSchema),
        }),
      ),
    ),
    ...cleanupFields,
  }),
  points: ListSchema,
  show: ShowSchema,
  "iam-policy": field(OF_POLICY, PolicySchema),
};

/** The output of a command of the controller with `--json`. */
export type ControllerOutput<Command extends keyof typeof CONTROLLER_OUTPUTS> = Printed<
  (typeof CONTROLLER_OUTPUTS)[Command]
>;
