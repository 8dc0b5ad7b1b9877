import type { JobPlan, Plan, RestorePlan } from "../plan/plan.js";
import type { Route } from "../plan/route.js";
import { attachToInstance, attachVolumes, detachVolumes } from "../steps/attach-volumes.js";
import { bridgeSnapshots, copyFilled, copyShared } from "../steps/copy-snapshots.js";
import { createSnapshots, snapshotFilled } from "../steps/create-snapshots.js";
import { createBlankVolumes, createTargetVolumes, createVolumes } from "../steps/create-volumes.js";
import { deliver } from "../steps/deliver.js";
import { launchRestored } from "../steps/launch-restored.js";
import { launchWorker } from "../steps/launch-worker.js";
import { fillVolumes, runJob } from "../steps/run-job.js";
import { shareFilled, shareSnapshots } from "../steps/share-snapshots.js";
import type { Step } from "../steps/step.js";
import { startRestored, swapVolumes } from "../steps/swap-volumes.js";

/** Steps from attachable volumes to a recovery point, the same on every route. */
const toRecoveryPoint = [launchWorker, createVolumes, attachVolumes, runJob];

/** The steps of each route, in order; at the end, and on failure, they are undone in reverse. */
export const WORKFLOWS: Record<Route, readonly Step<Plan>[]> = {
  "same-account": [createSnapshots, ...toRecoveryPoint],
  "cross-account": [createSnapshots, shareSnapshots, ...toRecoveryPoint],
  "cross-account-bridge": [createSnapshots, bridgeSnapshots, shareSnapshots, ...toRecoveryPoint],
  "cross-region": [createSnapshots, bridgeSnapshots, ...toRecoveryPoint],
  "cross-account-region": [createSnapshots, shareSnapshots, copyShared, ...toRecoveryPoint],
  "cross-account-region-bridge": [createSnapshots, bridgeSnapshots, shareSnapshots, ...toRecoveryPoint],
};

/** Steps from a recovery point to filled volumes, attached to the worker. */
const fromRecoveryPoint = [launchWorker, createBlankVolumes, attachVolumes, fillVolumes];

/** Steps from filled volumes to snapshots that the other account may use. */
const acrossAccounts = [snapshotFilled, shareFilled];

const toInstance = [launchRestored, swapVolumes, startRestored];

type RestoreSteps = Record<RestorePlan["request"]["to"], readonly Step<RestorePlan>[]>;

/** The steps of each restore, in order. Everything is temporary until `deliver`, their last step. */
const RESTORES: Record<RestorePlan["route"], RestoreSteps> = {
  "same-account": {
    volumes: [...fromRecoveryPoint, detachVolumes, attachToInstance, deliver],
    snapshot: [...fromRecoveryPoint, snapshotFilled, deliver],
    instance: [...fromRecoveryPoint, detachVolumes, ...toInstance, deliver],
  },
  "cross-account": {
    volumes: [...fromRecoveryPoint, ...acrossAccounts, createTargetVolumes, attachToInstance, deliver],
    snapshot: [...fromRecoveryPoint, ...acrossAccounts, copyFilled, deliver],
    instance: [...fromRecoveryPoint, ...acrossAccounts, createTargetVolumes, ...toInstance, deliver],
  },
};

/** Returns the steps that a plan needs. */
export function stepsOf(plan: JobPlan): Step[] {
  const steps: readonly Step[] =
    plan.kind === "restore" ? RESTORES[plan.route][plan.request.to] : WORKFLOWS[plan.route];
  return steps.filter((step) => step.when?.(plan) ?? true);
}
