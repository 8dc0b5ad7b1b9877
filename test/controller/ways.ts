import type { Plan } from "../../controller/plan/plan.js";
import type { KeyKind, Route } from "../../controller/plan/route.js";
import { stepsOf } from "../../controller/run/workflow.js";
import { REGION } from "../lab/lab-environment.js";
import { byDepth } from "../support/depth.js";
import { planOf } from "./plans.js";

/** A situation of a backup: the account and Region of the worker, and the encryption of the volumes. */
export interface Way {
  name: string;
  route: Route;
  volumes: KeyKind;
  worker: { account: "source" | "worker"; region: string; kind: "existing" | "launched" };
  /** Whether `--bridge-key` is given. */
  bridge: "given" | "none";
  /** Options that give access to the accounts. */
  access: readonly string[];
}

const ACROSS = ["--source-profile", "source", "--worker-aws-profile", "worker"];
const WITHIN = ["--source-profile", "source", "--worker-aws-profile", "source"];
const OTHER_REGION = "eu-west-1";

const NEAR = { account: "source", region: REGION, kind: "existing" } as const;
const FAR = { account: "worker", region: REGION, kind: "existing" } as const;

/** Every route, and other kinds of backup. */
export const WAYS: readonly Way[] = [
  {
    ...{ name: "in one account", route: "same-account", volumes: "customer" },
    ...{ worker: NEAR, bridge: "none", access: WITHIN },
  },
  {
    ...{ name: "with --worker-account source", route: "same-account", volumes: "aws-managed" },
    ...{ worker: NEAR, bridge: "none", access: ["--source-profile", "source", "--worker-account", "source"] },
  },
  {
    ...{ name: "across accounts", route: "cross-account", volumes: "customer" },
    ...{ worker: FAR, bridge: "none", access: ACROSS },
  },
  {
    ...{ name: "across accounts, unencrypted", route: "cross-account", volumes: "none" },
    ...{ worker: FAR, bridge: "none", access: ACROSS },
  },
  {
    ...{ name: "across accounts, with a launched worker", route: "cross-account", volumes: "customer" },
    ...{ worker: { ...FAR, kind: "launched" }, bridge: "none", access: ACROSS },
  },
  {
    ...{ name: "with --bridge-key", route: "cross-account-bridge", volumes: "aws-managed" },
    ...{ worker: FAR, bridge: "given", access: ACROSS },
  },
  {
    ...{ name: "to another Region", route: "cross-region", volumes: "customer" },
    ...{ worker: { ...NEAR, region: OTHER_REGION }, bridge: "none", access: WITHIN },
  },
  {
    ...{ name: "to another account and Region", route: "cross-account-region", volumes: "customer" },
    ...{ worker: { ...FAR, region: OTHER_REGION }, bridge: "none", access: ACROSS },
  },
  {
    ...{ name: "to another account and Region with --bridge-key", route: "cross-account-region-bridge" },
    ...{ volumes: "aws-managed", worker: { ...FAR, region: OTHER_REGION }, bridge: "given", access: ACROSS },
  },
];

/** The ways that the tests try. */
export const TRIED_WAYS: readonly Way[] = byDepth({
  quick: WAYS.filter(({ name }) => name === "across accounts"),
  full: WAYS,
});

/** Returns the steps of the workflow for a way. */
export function stepsOfWay(way: Way) {
  const plan = planOfWay(way);
  return stepsOf(plan).map((step) => ({ name: step.name, uses: step.uses(plan) }));
}

/** Returns the tried ways that have a step. */
export function waysWith(step: string): Way[] {
  return TRIED_WAYS.filter((way) => stepsOfWay(way).some(({ name }) => name === step));
}

function planOfWay({ route, volumes, worker }: Way): Plan {
  const plan = planOf({ route });
  const workerInstance =
    worker.kind === "existing" ? plan.request.workerInstance : ({ ...LAUNCH, kind: "launch" } as const);
  return {
    ...plan,
    request: { ...plan.request, workerInstance },
    volumes: plan.volumes.map((volume) => ({ ...volume, key: volumes })),
  };
}

const LAUNCH = {
  ...{ imageId: "ami-0123", subnetId: "subnet-0123", instanceType: "m5.large" },
  ...{ profile: "blockferry-agent", securityGroupIds: [] },
};
