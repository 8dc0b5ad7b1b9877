import type { LabFault } from "../lab/lab-control.js";
import {
  ACCESS_DENIED,
  denied,
  during,
  ENDLESS,
  type FaultCase,
  KEY_REMEDY,
  keyDisabled,
  limited,
  losses,
  passing,
  STATUS,
  silence,
  struck,
  whenUndone,
} from "./fault-kinds.js";
import type { Stage } from "./stage.js";
import { type Way, waysWith } from "./ways.js";

interface StepFaults {
  /** The calls that make and remove the step's resource: moments for a kill. */
  makes: LabFault;
  removes?: LabFault;
  /**
   * EC2's calls of the step, starting with the one that makes a resource, each with the limit that can refuse
   * it.
   */
  making: Record<string, string | null>;
  /** EC2's calls that only undoing needs. */
  undoing: string[];
  others: FaultCase[];
}

/** For faults that do not depend on the way: they are tried on one of the ways that have the step. */
const onOneWay = (way: Way, ways: readonly Way[]) =>
  way === (ways.find(({ name }) => name === "across accounts") ?? ways[0]);

/** The possible faults of each step. */
export const STEP_FAULTS: Record<string, StepFaults> = {
  "create-snapshots": {
    makes: { action: "CreateSnapshots" },
    removes: { action: "DeleteSnapshot" },
    making: { CreateSnapshots: "SnapshotLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: [
      {
        name: "a snapshot fails",
        faults: (at) => [during(at, { action: "CreateSnapshots", effect: "snapshot-error" })],
        error: () => ({ code: "SnapshotFailed", message: /^Snapshot snap-\w+ failed/, remedy: /again/ }),
      },
      {
        name: "the volumes had their last snapshots a moment ago",
        faults: (at) => [during(at, { action: "CreateSnapshots", error: TOO_SOON })],
        on: onOneWay,
      },
    ],
  },
  "bridge-snapshots": {
    makes: { action: "CopySnapshot" },
    removes: { action: "DeleteSnapshot" },
    making: { CopySnapshot: "SnapshotLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: copyFaults(({ keys }) => keys.bridge ?? keys.volume),
  },
  "share-snapshots": {
    makes: { action: "ModifySnapshotAttribute" },
    removes: { action: "ModifySnapshotAttribute", naming: "remove" },
    making: { ModifySnapshotAttribute: null },
    undoing: ["DescribeSnapshots", "DescribeSnapshotAttribute"],
    others: [
      {
        name: "a snapshot proves not shareable",
        faults: (at) => [during(at, { action: "ModifySnapshotAttribute", after: 1, error: EBS_KEY })],
        error: () => ({ code: "SnapshotNotShareable", message: /snapshot snap-\w+/, remedy: /--bridge-key/ }),
      },
      {
        name: "taking the permission back is refused once",
        faults: (at) => [
          whenUndone(at, { action: "ModifySnapshotAttribute", naming: "remove", error: ACCESS_DENIED }),
        ],
        on: onOneWay,
      },
    ],
  },
  "copy-shared-snapshots": {
    makes: { action: "CopySnapshot" },
    removes: { action: "DeleteSnapshot" },
    making: { CopySnapshot: "SnapshotLimitExceeded", DescribeSnapshots: null },
    undoing: ["DeleteSnapshot"],
    others: copyFaults(({ keys }) => keys.volume),
  },
  "launch-worker": {
    makes: { action: "RunInstances" },
    removes: { action: "TerminateInstances" },
    making: { RunInstances: "VcpuLimitExceeded", DescribeInstances: null },
    undoing: ["TerminateInstances"],
    others: [
      keyDisabled("the volumes' key", "RunInstances", ({ keys }) => keys.volume),
      {
        name: "AWS has no such instance left",
        faults: (at) => [during(at, { action: "RunInstances", error: NO_CAPACITY })],
        error: () => ({
          ...{ code: "AwsOutOfCapacity", message: /InsufficientInstanceCapacity/ },
          remedy: /--worker-type.*--worker-subnet/,
        }),
      },
      ...losses("RunInstances"),
    ],
  },
  "create-volumes": {
    makes: { action: "CreateVolume" },
    removes: { action: "DeleteVolume" },
    making: { CreateVolume: "VolumeLimitExceeded", DescribeVolumes: null },
    undoing: ["DeleteVolume"],
    others: [
      keyDisabled("the volumes' key", "CreateVolume", ({ keys }) => keys.volume),
      {
        ...keyDisabled("the snapshots' key", "CreateVolume", ({ keys }) => keys.source ?? ""),
        on: ({ volumes, route }) => volumes === "customer" && !route.includes("region"),
      },
      {
        name: "a volume fails",
        faults: (at) => [during(at, { action: "CreateVolume", after: 1, effect: "volume-error" })],
        error: () => ({ code: "KeyNotUsable", message: volumeThat("failed"), remedy: KEY_REMEDY }),
      },
      {
        name: "a volume vanishes",
        settings: { unusableKey: "vanish" },
        env: { BLOCKFERRY_VISIBLE_TIMEOUT_MS: "1000" },
        faults: (at) => [during(at, { action: "CreateVolume", after: 1, effect: "volume-error" })],
        error: () => ({ code: "KeyNotUsable", message: volumeThat("vanished"), remedy: KEY_REMEDY }),
        on: onOneWay,
      },
      {
        name: "a call is not answered in time",
        env: { BLOCKFERRY_CALL_TIMEOUT_MS: "5000" },
        faults: (at) => [during(at, { action: "CreateVolume", effect: "withhold-answer" })],
        on: onOneWay,
      },
      ...losses("CreateVolume"),
    ],
  },
  "attach-volumes": {
    makes: { action: "AttachVolume" },
    removes: { action: "DetachVolume" },
    making: { AttachVolume: "AttachmentLimitExceeded", DescribeVolumes: null, DescribeInstances: null },
    undoing: ["DetachVolume"],
    others: [
      {
        name: "an attachment never comes about",
        env: { BLOCKFERRY_RESOURCE_TIMEOUT_MS: "6000" },
        faults: (at) => [during(at, { action: "AttachVolume", after: 1, effect: "never-attach" })],
        error: ({ worker = "i-\\w+" }) => ({
          ...{ code: "AttachFailed", message: new RegExp(`not attached to worker ${worker}`) },
          remedy: /another worker/,
        }),
      },
      ...losses("AttachVolume"),
    ],
  },
  "run-job": {
    makes: { action: "PutObject", naming: "/job.json" },
    making: { DescribeInstances: null },
    undoing: [],
    others: [
      silence("is killed", "kill-agent"),
      { ...silence("hangs", "hang-agent"), on: onOneWay },
      {
        ...{ name: "the agent was killed before it could take the job", strikes: true, on: onOneWay },
        env: { BLOCKFERRY_AGENT_START_TIMEOUT_MS: "1000", BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "1000" },
        faults: (at) => [{ action: "AttachVolume", after: 1, effect: "kill-agent", worker: struck(at) }],
        error: ({ worker = "i-\\w+" }) => ({
          ...{ code: "WorkerLost", message: new RegExp(`No agent on worker ${worker}`) },
          remedy: /blockferry-agent serve/,
        }),
      },
      ...losses("PutObject", { naming: STATUS }),
      {
        name: "the repository throttles the agent, and the answer to the job is lost",
        faults: (at) => [
          during(at, { action: "PutObject", naming: STATUS, effect: "throttle", times: 2 }),
          during(at, { action: "PutObject", naming: "/job.json", effect: "lose-answer" }),
        ],
        on: onOneWay,
      },
      {
        name: "the repository refuses the recovery point",
        faults: (at) => [during(at, { action: "PutObject", naming: "/points/", error: ACCESS_DENIED })],
        error: () => ({ code: "StorageDenied", message: /points\//, remedy: /s3:PutObject/ }),
        on: onOneWay,
      },
    ],
  },
};

const JOURNAL_REFUSED: FaultCase = {
  name: "the repository refuses the journal from then on",
  faults: (at) => [
    during(at, { action: "PutObject", naming: "/journal.json", times: ENDLESS, error: ACCESS_DENIED }),
  ],
  error: () => ({ code: "StorageDenied", message: /journal\.json/, remedy: /s3:PutObject/ }),
  on: onOneWay,
};

/**
 * Returns the faults to try in a step on a way. Each fault is tried once; the ways on which it can happen
 * take turns.
 */
export function casesOf(step: string, way: Way): FaultCase[] {
  const ways = waysWith(step);
  const isFirstOfRoute = (one: Way) => ways.find(({ route }) => route === one.route) === one;
  return allCases(step).filter(({ on = isFirstOfRoute }, turn) => {
    const possible = ways.filter((one) => on(one, ways));
    return possible[turn % possible.length] === way;
  });
}

/** Returns all possible faults of a step. */
export function allCases(step: string): FaultCase[] {
  const { making, undoing, others } = STEP_FAULTS[step] as StepFaults;
  const calls = Object.keys(making);
  return [
    passing(calls, undoing),
    ...calls.map((call, index) => (index === 0 ? denied(call) : { ...denied(call), on: onOneWay })),
    ...Object.entries(making).flatMap(([action, limit]) => (limit === null ? [] : [limited(action, limit)])),
    ...others,
    JOURNAL_REFUSED,
  ];
}

function copyFaults(copyKey: (stage: Stage) => string): FaultCase[] {
  return [
    {
      name: "a copy fails",
      faults: (at) => [during(at, { action: "CopySnapshot", after: 1, effect: "snapshot-error" })],
      error: () => ({ code: "KeyNotUsable", message: /^Snapshot copy snap-\w+ failed/, remedy: KEY_REMEDY }),
    },
    {
      name: "more copies are under way than AWS makes at once",
      faults: (at) => [during(at, { action: "CopySnapshot", after: 1, times: 2, error: TOO_MANY_COPIES })],
      on: (way, ways) => way === (ways.find(({ route }) => route === "cross-region") ?? ways[0]),
    },
    keyDisabled("the copies' key", "CopySnapshot", copyKey),
    {
      ...keyDisabled("the snapshots' key", "CopySnapshot", ({ keys }) => keys.source ?? ""),
      on: ({ volumes }) => volumes === "customer",
    },
  ];
}

function volumeThat(how: "failed" | "vanished"): RegExp {
  return new RegExp(`^Volume vol-\\w+, made for volume vol-\\w+, ${how}\\.`);
}

// The codes: https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html
const TOO_SOON = {
  code: "SnapshotCreationPerVolumeRateExceeded",
  message: "The maximum per volume CreateSnapshot request rate has been exceeded.",
};
const TOO_MANY_COPIES = {
  code: "ResourceLimitExceeded",
  message: "Too many snapshot copies in progress. The limit is 20 for this destination region.",
};
const NO_CAPACITY = {
  ...{ code: "InsufficientInstanceCapacity", message: "We currently do not have sufficient capacity." },
  status: 500,
};
const EBS_KEY = {
  code: "OperationNotPermitted",
  message: "Encrypted snapshots with EBS default key cannot be shared",
};
