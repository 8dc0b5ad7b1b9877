import { type Instance, RunInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { making, use } from "../aws/action-use.js";
import { givenId } from "../aws/aws-errors.js";
import { findInstance, restoredInstanceKind } from "../aws/instances.js";
import { RESTORED_INSTANCE, ROLE_TAG, tagged, undoEach } from "../aws/job-resources.js";
import { poll, waitFor } from "../aws/poll.js";
import type { RestorePlan } from "../plan/plan.js";
import type { Step, StepContext } from "./step.js";

/**
 * Launches an instance of the recorded image.
 * Later steps replace its root with the restored volumes, because EC2 cannot launch an instance from a
 * volume. Additional volumes of the image are left out.
 */
export const launchRestored: Step<RestorePlan> = {
  name: "launch-instance",
  title: "Launching the instance",
  makes: "an instance like the one that was backed up, with the root volume of its image for now",
  uses: () => [
    ...use("source", "ec2:RunInstances", "restored-inputs"),
    ...making("source", "ec2:RunInstances", "new-instance"),
    ...making("source", "ec2:RunInstances", "new-volume"),
    ...use("source", "iam:PassRole", "restored-role"),
    ...use("source", "ec2:DescribeInstances", "any"),
    ...use("source", "ec2:TerminateInstances", "restored-instance"),
  ],
  make: async (context) => {
    const { plan, source } = context;
    const [launched] = await restoredInstanceKind(source, plan.jobId).list();
    // The same client token returns an instance that was launched but is not visible yet.
    const { Instances = [] } = launched
      ? { Instances: [launched] }
      : await source.ec2(runRestoredInstance(plan), "the instance");
    return { instanceId: givenId(Instances[0]?.InstanceId, "of the instance") };
  },
  wait: async (context) => {
    await awaitState(context, "running");
    return {};
  },
  undo: async (context) => {
    const { plan, source, made, timing } = context;
    await undoEach(context, {
      kind: restoredInstanceKind(source, plan.jobId),
      known: made.instanceId === undefined ? [] : [made.instanceId],
      what: "the instance to be terminated",
      timeoutMs: timing.resourceMs,
      undo: async ({ InstanceId = "", State }) => {
        if (State?.Name === "terminated") return true;
        const InstanceIds = [InstanceId];
        if (State?.Name !== "shutting-down")
          await source.ec2(new TerminateInstancesCommand({ InstanceIds }), InstanceId);
        return false;
      },
    });
  },
};

/**
 * Waits until the instance is in a state.
 * @throws InstanceNotFound, with EC2's reason, when the instance ends instead
 */
export async function awaitState(
  context: StepContext<RestorePlan>,
  state: "running" | "stopped",
): Promise<Instance> {
  const { source, made, timing } = context;
  const id = made.instanceId ?? "";
  let hasStarted = false;
  return poll(waitFor(context, `instance ${id} to be ${state}`, id, timing.resourceMs), async () => {
    const instance = await findInstance(source, id);
    const now = instance?.State?.Name;
    if (now === "terminated" || now === "shutting-down") throw ended(id, instance);
    // EC2 stops the instance when EBS may not use the key of a volume. Until EC2 shows that the instance
    // starts, the reason is the one of its previous stop.
    const isByUser = instance?.StateReason?.Code === "Client.UserInitiatedShutdown";
    if (state === "running" && now === "stopped" && (hasStarted || !isByUser)) throw ended(id, instance);
    hasStarted ||= now === "pending";
    return now === state ? instance : undefined;
  });
}

function ended(id: string, instance: Instance | undefined): BlockferryError {
  return new BlockferryError({
    code: "InstanceNotFound",
    message: `Instance ${id} ended instead of starting: ${instance?.StateReason?.Message ?? "EC2 gives no reason"}.`,
    remedy:
      "Fix the problem that EC2 names (Client.InternalError: EBS may not use the key of a volume), or choose others with --ami, --instance-type or --subnet; then restore again.",
    object: id,
  });
}

/**
 * Returns the call that launches the instance.
 * @param DryRun only asks whether the call would be allowed
 */
export function runRestoredInstance(plan: RestorePlan, DryRun?: true): RunInstancesCommand {
  const { launch, jobId, targetZone } = plan;
  if (launch === null) throw new Error("The plan launches no instance.");
  const { profile, keyName, subnetId, securityGroupIds } = launch;
  return new RunInstancesCommand({
    ...(DryRun === undefined ? { ClientToken: `${jobId}-instance` } : { DryRun }),
    ...{ MinCount: 1, MaxCount: 1, ImageId: launch.imageId, InstanceType: launch.instanceType as never },
    Placement: { AvailabilityZone: targetZone },
    MetadataOptions: { HttpTokens: "required", HttpEndpoint: "enabled" },
    ...(profile === null
      ? {}
      : { IamInstanceProfile: profile.startsWith("arn:") ? { Arn: profile } : { Name: profile } }),
    ...(keyName === null ? {} : { KeyName: keyName }),
    ...(subnetId === null ? {} : { SubnetId: subnetId }),
    ...(securityGroupIds.length === 0 ? {} : { SecurityGroupIds: securityGroupIds }),
    ...(launch.leftOutDevices.length === 0
      ? {}
      : { BlockDeviceMappings: launch.leftOutDevices.map((DeviceName) => ({ DeviceName, NoDevice: "" })) }),
    TagSpecifications: [
      tagged("instance", jobId, { [ROLE_TAG]: RESTORED_INSTANCE }),
      tagged("volume", jobId, { [ROLE_TAG]: RESTORED_INSTANCE }),
    ],
  });
}
