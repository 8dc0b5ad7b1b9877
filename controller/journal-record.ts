import * as z from "zod/mini";
import { ERROR_CODES } from "../foundation/blockferry-error.js";
import { PlanSchema, RestorePlanSchema } from "./plan.js";
import { MadeSchema } from "./steps/step.js";

const ErrorSchema = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  remedy: z.string(),
  object: z.optional(z.string()),
  offset: z.optional(z.number()),
});

const StepRecordSchema = z.strictObject({
  name: z.string(),
  /**
   * `running` is written before a resource is created, so a later run looks for resources of a killed run.
   */
  state: z.enum(["pending", "running", "done", "failed", "undone"]),
  startedAt: z.nullable(z.iso.datetime()),
  finishedAt: z.nullable(z.iso.datetime()),
});

export const JournalSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  /** The process that runs the job, in the same form as in names of temporary files. */
  owner: z.string(),
  updatedAt: z.iso.datetime(),
  /** `undoing` until every temporary resource is gone, after success and after failure. */
  state: z.enum(["running", "undoing", "finished"]),
  outcome: z.nullable(
    z.discriminatedUnion("ok", [
      z.strictObject({ ok: z.literal(true), point: z.string() }),
      z.strictObject({ ok: z.literal(false), error: ErrorSchema }),
    ]),
  ),
  plan: z.union([RestorePlanSchema, PlanSchema]),
  made: MadeSchema,
  steps: z.array(StepRecordSchema),
});

export type JournalRecord = z.infer<typeof JournalSchema>;
export type StepRecord = z.infer<typeof StepRecordSchema>;
