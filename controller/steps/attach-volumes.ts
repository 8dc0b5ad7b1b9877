import { AttachVolumeCommand, DetachVolumeCommand, type Volume } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { use } from "../aws/action-use.js";
import { awsCode } from "../aws/aws-errors.js";
import { freeDeviceNames } from "../aws/devices.js";
import { assertAlive, findInstance } from "../aws/instances.js";
import { poll } from "../aws/poll.js";
import { unlessGone, untilVisible } from "../aws/retry.js";
import { findJobVolumes } from "../aws/volumes.js";
import { workerIdOf } from "./launch-worker.js";
import { type Step, type StepContext, waitFor } from "./step.js";

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
    for (const { origin } of plan.volumes) {
      const { volumeId } = origin;
      const existing = attachmentTo(context, found.get(volumeId))?.Device;
      attachments[volumeId] = existing ?? (await attach(context, made.volumes?.[volumeId] ?? ""));
    }
    return { attachments };
  },
  wait: async (context) => {
    const { plan, worker, timing } = context;
    const workerId = workerIdOf(context);
    try {
      await poll(waitFor(context, "the volumes to be attached", workerId, timing.resourceMs), async () => {
        const volumes = [...(await findJobVolumes(worker, plan.jobId)).values()];
        const attached = volumes.filter((volume) => attachmentTo(context, volume)?.State === "attached");
        if (attached.length === plan.volumes.length) return true;
        assertAlive(await findInstance(worker, workerId), workerId);
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
    const { plan, worker, timing } = context;
    const attached = async () =>
      [...(await findJobVolumes(worker, plan.jobId)).values()].filter(({ Attachments = [] }) =>
        Attachments.some(({ State }) => State !== "detached"),
      );
    const detachAll = async (Force: boolean) => {
      for (const { VolumeId = "" } of await attached()) await detach(context, VolumeId, Force);
      const what = "the volumes to be detached";
      await poll(waitFor(context, what, workerIdOf(context), timing.resourceMs / 2), async () =>
        (await attached()).length === 0 ? true : undefined,
      );
    };
    try {
      await detachAll(false);
    } catch (error) {
      // Nobody writes to these volumes, and they are deleted next: nothing is lost by force.
      if (!(error instanceof BlockferryError) || error.code !== "WaitTimedOut") throw error;
      await detachAll(true);
    }
  },
};

function attachmentTo(context: StepContext, volume: Volume | undefined) {
  const workerId = workerIdOf(context);
  return volume?.Attachments?.find(
    ({ InstanceId, State }) => InstanceId === workerId && State !== "detached",
  );
}

/** Takes the first name that is free; where somebody else is faster, the next one. */
async function attach(context: StepContext, VolumeId: string): Promise<string> {
  const { worker, timing } = context;
  const InstanceId = workerIdOf(context);
  const taken = new Set<string>();
  for (;;) {
    const instance = await findInstance(worker, InstanceId);
    assertAlive(instance, InstanceId);
    const Device = freeDeviceNames(instance ?? {}).find((name) => !taken.has(name));
    if (Device === undefined) throw noDeviceName(InstanceId);
    try {
      const wait = waitFor(context, `volume ${VolumeId} to be visible`, VolumeId, timing.visibleMs);
      const command = new AttachVolumeCommand({ VolumeId, InstanceId, Device });
      await untilVisible(wait, () => worker.ec2(command, VolumeId));
      return Device;
    } catch (error) {
      // When EC2's answer was lost and the call repeated, the volume is attached already.
      const existing = awsCode(error) === "VolumeInUse" ? await deviceOf(context, VolumeId) : undefined;
      if (existing !== undefined) return existing;
      if (isNameTaken(error)) {
        taken.add(Device);
        continue;
      }
      // That the worker is lost says more than what EC2 says about the volume then.
      assertAlive(await findInstance(worker, InstanceId), InstanceId);
      throw error;
    }
  }
}

async function deviceOf(context: StepContext, volumeId: string): Promise<string | undefined> {
  const found = [...(await findJobVolumes(context.worker, context.plan.jobId)).values()];
  return attachmentTo(
    context,
    found.find(({ VolumeId }) => VolumeId === volumeId),
  )?.Device;
}

function isNameTaken(error: unknown): boolean {
  const isAboutName = error instanceof Error && /already in use|device/i.test(error.message);
  return awsCode(error) === "InvalidParameterValue" && isAboutName;
}

async function detach({ worker }: StepContext, VolumeId: string, Force: boolean): Promise<void> {
  try {
    await unlessGone(() => worker.ec2(new DetachVolumeCommand({ VolumeId, Force }), VolumeId));
  } catch (error) {
    // It is being detached already, or has just been.
    if (awsCode(error) !== "IncorrectState") throw error;
  }
}

function neverAttached(workerId: string, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "AttachFailed",
      message: `The volumes were not attached to worker ${workerId} in time.`,
      remedy:
        "Look at the instance's state and status checks, or take another worker; then run the backup again.",
      object: workerId,
    },
    cause,
  );
}

function noDeviceName(workerId: string): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Worker ${workerId} has no device name free.`,
    remedy: "Detach volumes that are no longer needed, or take another worker.",
    object: workerId,
  });
}
