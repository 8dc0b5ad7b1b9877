import type { ActionUse } from "../../controller/aws/action-use.js";
import type { LabFault, LabSettings, WorkerEffect } from "../lab/lab-control.js";
import type { Bench } from "./bench.js";
import type { Way } from "./ways.js";

/** Something that goes wrong in a step, and what the backup makes of it. */
export interface FaultCase {
  name: string;
  faults(at: Moment): LabFault[];
  /** The error that it ends with; undefined where the backup succeeds all the same. */
  error?(at: Moment): ExpectedError;
  /** Shortens waits that can only end by their timeout. */
  env?: Record<string, string>;
  settings?: Partial<LabSettings>;
  /** Whether the worker comes to harm, so that it must be one of the case's own. */
  strikes?: true;
  /** The ways that it can happen on; all without it. */
  on?(way: Way): boolean;
}

/** When a fault strikes: in a step, on a bench. */
export interface Moment {
  bench: Bench;
  /** Undefined for one that is still to be launched. */
  worker: string | undefined;
  step: string;
  uses: ActionUse[];
  /** The step that is undone before this one. */
  next: string | undefined;
}

interface ExpectedError {
  code: string;
  message: RegExp;
  remedy: RegExp;
}

interface StepFaults {
  /** EC2's calls on the way forward, each with the limit that can refuse it. */
  making: Record<string, string | null>;
  /** EC2's calls that only undoing takes. */
  undoing: string[];
  others: FaultCase[];
}

/** For faults that strike from some moment on: no backup makes so many calls. */
export const ENDLESS = 10_000;

/** What can go wrong in each step, besides what can go wrong in all. */
export const STEP_FAULTS: Record<string, StepFaults> = {
  "create-snapshots": {
    making: { CreateSnapshots: "SnapshotLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: [
      {
        name: "a snapshot fails",
        faults: (at) => [during(at, { action: "CreateSnapshots", effect: "snapshot-error" })],
        error: () => ({ code: "SnapshotFailed", message: /^Snapshot snap-\w+ failed/, remedy: /again/ }),
      },
    ],
  },
  "bridge-snapshots": {
    making: { CopySnapshot: "ResourceLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: copyFaults(({ keys }) => keys.bridge ?? keys.volume),
  },
  "share-snapshots": {
    making: { ModifySnapshotAttribute: null },
    undoing: ["DescribeSnapshots", "DescribeSnapshotAttribute"],
    others: [
      {
        name: "a snapshot proves not shareable",
        faults: (at) => [during(at, { action: "ModifySnapshotAttribute", after: 1, error: NOT_SHAREABLE })],
        error: () => ({ code: "SnapshotNotShareable", message: /snapshot snap-\w+/, remedy: /--bridge-key/ }),
      },
    ],
  },
  "copy-shared-snapshots": {
    making: { CopySnapshot: "ResourceLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: copyFaults(({ keys }) => keys.volume),
  },
  "launch-worker": {
    making: { RunInstances: "VcpuLimitExceeded", DescribeInstances: null },
    undoing: ["TerminateInstances"],
    others: [
      keyDisabled("the volumes' key", "RunInstances", ({ keys }) => keys.volume),
      ...losses("RunInstances"),
    ],
  },
  "create-volumes": {
    making: { CreateVolume: "VolumeLimitExceeded", DescribeVolumes: null },
    undoing: ["DeleteVolume"],
    others: [
      keyDisabled("the volumes' key", "CreateVolume", ({ keys }) => keys.volume),
      {
        ...keyDisabled("the snapshots' key", "CreateVolume", ({ keys }) => keys.source ?? ""),
        on: ({ volumes, route }) => volumes === "customer" && !route.includes("region"),
      },
      volumeFault("fails", "error"),
      volumeFault("vanishes", "vanish"),
      ...losses("CreateVolume"),
    ],
  },
  "attach-volumes": {
    making: { AttachVolume: "AttachmentLimitExceeded", DescribeVolumes: null, DescribeInstances: null },
    undoing: ["DetachVolume"],
    others: [
      {
        name: "an attachment never comes about",
        faults: (at) => [during(at, { action: "AttachVolume", after: 1, effect: "never-attach" })],
        error: ({ worker = "i-" }) => ({
          ...{ code: "AttachFailed", message: new RegExp(`not attached to worker ${worker}`) },
          remedy: /another worker/,
        }),
        env: { BLOCKFERRY_RESOURCE_TIMEOUT_MS: "4000" },
      },
      ...losses("AttachVolume"),
    ],
  },
  "run-job": {
    making: { DescribeInstances: null },
    undoing: [],
    others: [
      {
        name: "the repository throttles the agent",
        faults: (at) => [during(at, { action: "PutObject", naming: STATUS, effect: "throttle", times: 2 })],
      },
      {
        name: "the repository refuses the recovery point",
        faults: (at) => [during(at, { action: "PutObject", naming: "/points/", error: DENIED })],
        error: () => ({ code: "StorageDenied", message: /points\//, remedy: /s3:PutObject/ }),
      },
      {
        ...{ name: "the agent was killed before it could take the job", strikes: true },
        env: { BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "500" },
        faults: ({ worker = "launched" }) => [
          { action: "AttachVolume", after: 1, effect: "kill-agent", worker },
        ],
        error: ({ worker = "i-" }) => ({
          ...{ code: "WorkerLost", message: new RegExp(`No agent on worker ${worker}`) },
          remedy: /blockferry-agent serve/,
        }),
      },
      silence("is killed", "kill-agent"),
      silence("hangs", "hang-agent"),
      ...losses("PutObject", { naming: "/status.json" }),
    ],
  },
};

/** Everything that can go wrong in a step of a way. */
export function casesOf(step: string, way: Way): FaultCase[] {
  const { making, undoing, others } = STEP_FAULTS[step] as StepFaults;
  const cases = [
    throttled([...Object.keys(making), ...undoing], undoing),
    ...Object.keys(making).map(denied),
    ...Object.entries(making).flatMap(([action, limit]) => (limit === null ? [] : [limited(action, limit)])),
    JOURNAL_REFUSED,
    ...others,
  ];
  return cases.filter(({ on }) => on?.(way) ?? true);
}

/** All of a step's calls are throttled, and afterwards what removes is refused once. */
function throttled(actions: string[], undoing: string[]): FaultCase {
  return {
    name: `is throttled (${actions.join(", ")})`,
    faults: (at) =>
      actions.flatMap((action) => {
        const account = accountOf(at, action);
        const throttle = { ...{ action, account }, effect: "throttle", times: 2 } as const;
        if (!undoing.includes(action)) return [during(at, throttle)];
        return [whenUndone(at, throttle), whenUndone(at, { action, account, after: 2, error: UNAUTHORIZED })];
      }),
  };
}

function denied(action: string): FaultCase {
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

/** The second of two calls is refused where there are two, so that what the first has made must go. */
function limited(action: string, code: string): FaultCase {
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

const JOURNAL_REFUSED: FaultCase = {
  name: "the repository refuses the journal from then on",
  faults: (at) => [
    during(at, { action: "PutObject", naming: "/journal.json", times: ENDLESS, error: DENIED }),
  ],
  error: () => ({ code: "StorageDenied", message: /journal\.json/, remedy: /s3:PutObject/ }),
};

function copyFaults(copyKey: (bench: Bench) => string): FaultCase[] {
  return [
    {
      name: "a copy fails",
      faults: (at) => [during(at, { action: "CopySnapshot", after: 1, effect: "snapshot-error" })],
      error: () => ({ code: "KeyNotUsable", message: /^Snapshot copy snap-\w+ failed/, remedy: KEY_REMEDY }),
    },
    keyDisabled("the copies' key", "CopySnapshot", copyKey),
    {
      ...keyDisabled("the snapshots' key", "CopySnapshot", ({ keys }) => keys.source ?? ""),
      on: ({ volumes }) => volumes === "customer",
    },
  ];
}

function keyDisabled(which: string, action: string, keyOf: (bench: Bench) => string): FaultCase {
  return {
    name: `${which} is disabled`,
    faults: (at) => [during(at, { action, effect: "disable-key", key: keyOf(at.bench) })],
    error: ({ bench }) => ({
      ...{ code: "KeyNotUsable", message: new RegExp(`Key ${keyOf(bench)} is Disabled`), remedy: KEY_REMEDY },
    }),
  };
}

function volumeFault(how: string, unusableKey: LabSettings["unusableKey"]): FaultCase {
  return {
    name: `a volume ${how}`,
    settings: { unusableKey },
    faults: (at) => [during(at, { action: "CreateVolume", after: 1, effect: "volume-error" })],
    error: () => ({
      code: "KeyNotUsable",
      message: /^Volume vol-\w+, made of volume vol-\w+, (failed|vanished)\./,
      remedy: KEY_REMEDY,
    }),
  };
}

/** The worker is lost with a call of the step. A worker that is still to be launched can't be. */
function losses(action: string, fault: Partial<LabFault> = {}): FaultCase[] {
  const loss = (name: string, effect: WorkerEffect, message: string): FaultCase => ({
    ...{ name, strikes: true },
    faults: (at) => [during(at, { action, ...fault, effect, worker: at.worker ?? "launched" })],
    error: ({ worker = "i-\\w+" }) => ({
      ...{ code: "WorkerLost", message: new RegExp(`Worker ${worker} is ${message}`) },
      remedy: /run the backup again/i,
    }),
  });
  return [
    loss("the worker is terminated", "terminate-worker", "(terminated|gone)"),
    loss("Spot takes the worker back", "spot-interrupt", "terminated: AWS took the Spot instance back"),
  ];
}

function silence(how: string, effect: WorkerEffect): FaultCase {
  return {
    ...{ name: `the agent ${how}`, strikes: true, env: { BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "2000" } },
    faults: (at) => [
      during(at, { action: "PutObject", naming: STATUS, effect, worker: at.worker ?? "launched" }),
    ],
    error: ({ worker = "i-" }) => ({
      ...{ code: "WorkerLost", message: new RegExp(`agent on worker ${worker}.* has stopped`) },
      remedy: /journalctl/,
    }),
  };
}

/** From the moment on that the journal says that the step runs. */
function during({ step }: Moment, fault: LabFault): LabFault {
  return { ...fault, since: { action: "PutObject", body: `"name":"${step}","state":"running"` } };
}

/** From the moment on that it is the step's turn to be undone. */
function whenUndone({ next }: Moment, fault: LabFault): LabFault {
  const body = next === undefined ? `"state":"undoing"` : `"name":"${next}","state":"undone"`;
  return { ...fault, since: { action: "PutObject", body } };
}

function accountOf({ uses, bench }: Moment, action: string): string {
  const party = uses.find((use) => use.action === `ec2:${action}`)?.party;
  return party === "source" ? bench.sourceAccount : bench.workerParty.accountId;
}

const STATUS = "/status.json";
const KEY_REMEDY = /kms:CreateGrant.*must be enabled/s;
const UNAUTHORIZED = {
  ...{ code: "UnauthorizedOperation", message: "You are not authorized to perform this operation." },
  status: 403,
};
const DENIED = { code: "AccessDenied", message: "Access Denied", status: 403 };
const NOT_SHAREABLE = {
  code: "OperationNotPermitted",
  message: "Encrypted snapshots with EBS default key cannot be shared",
};
