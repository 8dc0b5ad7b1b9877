import type { JobPlan, Plan, RestorePlan } from "./plan.js";
import type { Route } from "./route.js";
import { attachToInstance } from "./steps/attach-to.js";
import { attachVolumes } from "./steps/attach-volumes.js";
import { copyFilled } from "./steps/copy-filled.js";
import { bridgeSnapshots, copyShared } from "./steps/copy-snapshots.js";
import { createBlankVolumes } from "./steps/create-blank-volumes.js";
import { createSnapshots } from "./steps/create-snapshots.js";
import { createTargetVolumes } from "./steps/create-target-volumes.js";
import { createVolumes } from "./steps/create-volumes.js";
import { deliver } from "./steps/deliver.js";
import { detachVolumes } from "./steps/detach-volumes.js";
import { launchRestored } from "./steps/launch-restored.js";
import { launchWorker } from "./steps/launch-worker.js";
import { fillVolumes, runJob } from "./steps/run-job.js";
import { shareFilled } from "./steps/share-filled.js";
import { shareSnapshots } from "./steps/share-snapshots.js";
import { snapshotFilled } from "./steps/snapshot-filled.js";
import type { Step } from "./steps/step.js";
import { startRestored, swapVolumes } from "./steps/swap-volumes.js";

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
