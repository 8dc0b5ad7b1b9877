import { DetachVolumeCommand, type Volume } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { use, useKeys } from "../aws/action-use.js";
import {
  attachmentTo,
  attachRestored,
  attachUnderFreeName,
  freeDeviceNames,
  isInUse,
} from "../aws/attach.js";
import { awsCode } from "../aws/aws-errors.js";
import { InstanceWatch } from "../aws/instances.js";
import { undoEach } from "../aws/job-resources.js";
import type { Party } from "../aws/party.js";
import { poll, untilVisible, waitFor } from "../aws/poll.js";
import { findJobVolumes, volumeKind } from "../aws/volumes.js";
import { type RestorePlan, volumeNamesOf } from "../plan/plan.js";
import { workerIdOf } from "./launch-worker.js";
import { madeId, restoredVolumeIds, type Step, type StepContext } from "./step.js";

export const attachVolumes: Step = {
  name: "attach-volumes",
  title: "Attaching the volumes to the worker",
  makes: "an attachment for each volume, under a free device name",
  uses: () => [
    ...use("worker", "ec2:AttachVolume", "job-volume", "worker-instance"),
    ...use("worker", "ec2:DetachVolume", "job-volume", "worker-instance"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
    ...use("worker", "ec2:DescribeInstances", "any"),
  ],
  make: async (context) => {
    const { plan, made } = context;
    const attachments: Record<string, string> = {};
    const found = await findJobVolumes(context.worker, plan.jobId);
    for (const name of volumeNamesOf(plan)) {
      const existing = attachmentToWorker(context, found.get(name))?.Device;
      attachments[name] = existing ?? (await attach(context, madeId(made.volumes, name)));
    }
    return { attachments };
  },
  wait: async (context) => {
    const { plan, worker, timing } = context;
    const workerId = workerIdOf(context);
    const watch = new InstanceWatch(worker, workerId, timing.visibleMs);
    try {
      await poll(waitFor(context, "the volumes to be attached", workerId, timing.resourceMs), async () => {
        const volumes = [...(await findJobVolumes(worker, plan.jobId)).values()];
        const attached = volumes.filter(
          (volume) => attachmentToWorker(context, volume)?.State === "attached",
        );
        if (attached.length === plan.volumes.length) return true;
        await watch.findAlive();
        return undefined;
      });
    } catch (error) {
      if (error instanceof BlockferryError && error.code === "WaitTimedOut")
        throw neverAttached(workerId, error);
      throw error;
    }
    return {};
  },
  undo: async (context) => {
    try {
      await detachAll(context);
    } catch (error) {
      // Nothing is lost by force: no process writes to these volumes, and they are deleted next.
      if (!(error instanceof BlockferryError) || error.code !== "WaitTimedOut") throw error;
      await detachAll(context, { force: true });
    }
  },
};

/** Detaches the job's volumes from any instance, and waits until they are detached. */
function detachAll(context: StepContext, { force }: { force?: true } = {}): Promise<void> {
  return detachFrom(context, context.worker, Object.values(context.made.volumes ?? {}), force);
}

/**
 * Detaches volumes of either account, and waits until they are detached.
 * @param known ids of the volumes
 */
async function detachFrom(context: StepContext, party: Party, known: string[], Force = false): Promise<void> {
  const { plan, timing } = context;
  const asked = new Set<string>();
  await undoEach(context, {
    kind: volumeKind(party, plan.jobId),
    known,
    what: "the volumes to be detached",
    timeoutMs: timing.resourceMs / 2,
    undo: async ({ VolumeId = "", Attachments = [] }) => {
      if (Attachments.every(({ State }) => State === "detached")) return true;
      if (!asked.has(VolumeId)) await detach(party, VolumeId, Force);
      asked.add(VolumeId);
      return false;
    },
  });
}

function attachmentToWorker(context: StepContext, volume: Volume | undefined) {
  return attachmentTo(workerIdOf(context), volume);
}

/** Attaches a volume to the worker. @returns its device name */
async function attach(context: StepContext, volumeId: string): Promise<string> {
  const { worker, timing } = context;
  const instanceId = workerIdOf(context);
  const watch = new InstanceWatch(worker, instanceId, timing.visibleMs);
  const wait = waitFor(context, `volume ${volumeId} to be visible`, volumeId, timing.visibleMs);
  try {
    const device = await attachUnderFreeName({
      ...{ instanceId, volumeId },
      readInstance: async () => (await watch.findAlive()) ?? {},
      namesFor: freeDeviceNames,
      send: (command) => untilVisible(wait, () => worker.ec2(command, volumeId)),
    });
    if (device === undefined) throw noDeviceName(instanceId);
    return device;
  } catch (error) {
    if (isInUse(error)) return deviceOf(context, volumeId, error);
    // A lost worker explains more than EC2's error about the volume.
    await watch.findAlive();
    throw error;
  }
}

/**
 * Returns the device name of a volume that is attached to the worker.
 * @throws `inUse`, the error of the failed attach call, when the volume is attached to another instance
 */
async function deviceOf(context: StepContext, volumeId: string, inUse: unknown): Promise<string> {
  const { worker, timing, plan } = context;
  const visibleBy = performance.now() + timing.visibleMs;
  const wait = waitFor(context, `${volumeId} to be seen attached`, volumeId, timing.visibleMs * 2);
  return poll(wait, async () => {
    const isVisible = performance.now() >= visibleBy;
    const found = [...(await findJobVolumes(worker, plan.jobId)).values()];
    const volume = found.find(({ VolumeId }) => VolumeId === volumeId);
    const device = attachmentToWorker(context, volume)?.Device;
    if (device === undefined && isVisible) throw inUse;
    return device;
  });
}

async function detach(party: Party, VolumeId: string, Force: boolean): Promise<void> {
  try {
    await party.ec2(new DetachVolumeCommand({ VolumeId, Force }), VolumeId);
  } catch (error) {
    // The volume is being detached already, or was detached a moment ago.
    if (awsCode(error) !== "IncorrectState") throw error;
  }
}

function neverAttached(workerId: string, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "AttachFailed",
      message: `The volumes were not attached to worker ${workerId} in time.`,
      remedy: "Check the instance's state and status checks, or use another worker; then run it again.",
      object: workerId,
    },
    cause,
  );
}

function noDeviceName(workerId: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Worker ${workerId} has no free device name.`,
    remedy: "Detach volumes that are no longer needed, or use another worker.",
    object: workerId,
  });
}

/** Never by force: the agent's writes are in flight until the worker has released the volume. */
export const detachVolumes: Step<RestorePlan> = {
  name: "detach-volumes",
  title: "Detaching the volumes from the worker",
  makes: "nothing; the volumes can be used",
  uses: () => [
    ...use("worker", "ec2:DetachVolume", "job-volume", "worker-instance"),
    ...use("worker", "ec2:DescribeVolumes", "any"),
  ],
  make: async (context) => {
    await detachAll(context);
    return {};
  },
  wait: async () => ({}),
  undo: async () => undefined,
};

/** Uses the recorded device names where they are free. */
export const attachToInstance: Step<RestorePlan> = {
  name: "attach-to-instance",
  title: "Attaching the volumes to the instance",
  makes: "an attachment for each restored volume, to the instance that --attach-to names",
  when: ({ request }) => request.attachTo !== null,
  uses: ({ route }) => [
    ...use("source", "ec2:AttachVolume", "job-volume", "attach-instance"),
    ...use("source", "ec2:DetachVolume", "job-volume", "attach-instance"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "ec2:DescribeInstances", "any"),
    ...useKeys("source", route === "same-account" ? "volume-key" : "copy-key"),
  ],
  make: async (context) => {
    const { plan, source, made } = context;
    const ids = restoredVolumeIds(plan, made);
    const volumes = plan.volumes.map(({ name, attachName }) => ({
      ...{ of: name, volumeId: madeId(ids, name), name: attachName, as: "data" as const },
    }));
    return { restoredDevices: await attachRestored(context, source, plan.request.attachTo ?? "", volumes) };
  },
  wait: async () => ({}),
  undo: (context) =>
    detachFrom(context, context.source, Object.values(restoredVolumeIds(context.plan, context.made))),
};
