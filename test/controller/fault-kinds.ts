import type { ActionUse } from "../../controller/aws/action-use.js";
import type { LabFault, LabSettings, WorkerEffect } from "../lab/lab-control.js";
import type { Stage } from "./stage.js";
import type { Way } from "./ways.js";

/** A fault in a step, and its effect on the backup. */
export interface FaultCase {
  name: string;
  faults(at: Moment): LabFault[];
  /** The error of the backup; undefined if the backup succeeds. */
  error?(at: Moment): { code: string; message: RegExp; remedy: RegExp };
  /** Shortens waits that can only end by their timeout. */
  env?: Record<string, string>;
  settings?: Partial<LabSettings>;
  /** Set if the fault harms the worker, so that the case needs its own worker. */
  strikes?: true;
  /**
   * Whether the fault can happen on a way, of all ways that have the step. It is tried on one of the possible ways. Default: the first way of
   * each route that has the step.
   */
  on?(way: Way, ways: readonly Way[]): boolean;
}

/** A step of a way. */
export interface Place {
  step: string;
  /** The step that is undone before this one. */
  next: string | undefined;
}

/** The time of a fault: in a step, on a stage. */
export interface Moment extends Place {
  stage: Stage;
  /** Undefined for a worker that is still to be launched. */
  worker: string | undefined;
  uses: ActionUse[];
}

/** For faults that strike from some call on: no backup makes this many calls. */
export const ENDLESS = 10_000;

const REMOVING = /^(Delete|Detach|Terminate)/;

/**
 * Transient faults: the first answer to each call is lost, the next call is throttled, and a removal is
 * refused once.
 */
export function passing(making: string[], undoing: string[]): FaultCase {
  return {
    name: `answers are lost, calls are throttled (${[...making, ...undoing].join(", ")})`,
    faults: (at) => [
      ...making.flatMap((action) => {
        const call = { action, account: accountOf(at, action) };
        return [
          during(at, { ...call, effect: "lose-answer" }),
          during(at, { ...call, after: 1, effect: "throttle" }),
        ];
      }),
      ...undoing.flatMap((action) => {
        const call = { action, account: accountOf(at, action) };
        const throttle = whenUndone(at, { ...call, effect: "throttle" });
        if (!REMOVING.test(action)) return [throttle];
        return [throttle, whenUndone(at, { ...call, after: 1, error: UNAUTHORIZED })];
      }),
    ],
  };
}

export function denied(action: string): FaultCase {
  return {
    name: `${action} is not allowed`,
    faults: (at) => [during(at, { action, account: accountOf(at, action), error: UNAUTHORIZED })],
    error: (at) => ({
      code: "AwsAccessDenied",
      message: new RegExp(`ec2:${action} on \\S.* failed: UnauthorizedOperation`),
      remedy: new RegExp(`Allow arn:aws:iam::${accountOf(at, action)}:\\S+ the action ec2:${action} on`),
    }),
  };
}

/** Refuses the second of two calls, if there are two. The result of the first must then be removed. */
export function limited(action: string, code: string): FaultCase {
  const after = ["CreateSnapshots", "RunInstances"].includes(action) ? 0 : 1;
  const error = { code, message: "You have reached your limit." };
  return {
    name: `${code} from ${action}`,
    faults: (at) => [during(at, { action, after, error })],
    error: () => ({
      ...{ code: "AwsLimitExceeded", message: new RegExp(`ec2:${action} on \\S.* failed: ${code}`) },
      remedy: /quota/,
    }),
  };
}

export function keyDisabled(which: string, action: string, keyOf: (stage: Stage) => string): FaultCase {
  return {
    name: `${which} is disabled`,
    faults: (at) => [during(at, { action, effect: "disable-key", key: keyOf(at.stage) })],
    error: ({ stage }) => ({
      ...{ code: "KeyNotUsable", message: new RegExp(`Key ${keyOf(stage)} is Disabled`) },
      remedy: KEY_REMEDY,
    }),
  };
}

/** The worker is lost at a call of the step. */
export function losses(action: string, fault: Partial<LabFault> = {}): FaultCase[] {
  const loss = (name: string, effect: WorkerEffect, message: string): FaultCase => ({
    ...{ name, strikes: true },
    faults: (at) => [during(at, { action, ...fault, effect, worker: struck(at) })],
    error: ({ worker = "i-\\w+" }) => ({
      ...{ code: "WorkerLost", message: new RegExp(`Worker ${worker} is ${message}`) },
      remedy: /run it again/i,
    }),
  });
  return [
    loss("the worker is terminated", "terminate-worker", "(terminated|gone)"),
    loss("Spot takes the worker back", "spot-interrupt", "terminated: AWS took the Spot instance back"),
  ];
}

/** The agent takes the job, and then stops responding. */
export function silence(how: string, effect: WorkerEffect): FaultCase {
  return {
    ...{ name: `the agent ${how}`, strikes: true },
    env: { BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "2000", BLOCKFERRY_AGENT_START_TIMEOUT_MS: "600000" },
    faults: (at) => [during(at, { action: "PutObject", naming: STATUS, effect, worker: struck(at) })],
    error: ({ worker = "i-\\w+" }) => ({
      ...{ code: "WorkerLost", message: new RegExp(`The agent on worker ${worker} has stopped`) },
      remedy: /journalctl/,
    }),
  };
}

/** The fault starts when the journal records that the step runs. */
export function during({ step }: Place, fault: LabFault): LabFault {
  return { ...fault, since: { action: "PutObject", body: `"name":"${step}","state":"running"` } };
}

/** The fault starts when the step is the next to be undone. */
export function whenUndone({ next }: Place, fault: LabFault): LabFault {
  const body = next === undefined ? `"state":"undoing"` : `"name":"${next}","state":"undone"`;
  return { ...fault, since: { action: "PutObject", body } };
}

export function struck({ worker }: Moment): string {
  return worker ?? "launched";
}

function accountOf({ uses, stage }: Moment, action: string): string {
  const party = uses.find((use) => use.action === `ec2:${action}`)?.party;
  return party === "source" ? stage.sourceAccount : stage.workerParty.accountId;
}

export const STATUS = "/status.json";
export const KEY_REMEDY = /kms:CreateGrant.*must be enabled/s;
export const ACCESS_DENIED = { code: "AccessDenied", message: "Access Denied", status: 403 };
const UNAUTHORIZED = {
  ...{ code: "UnauthorizedOperation", message: "You are not authorized to perform this operation." },
  status: 403,
};
