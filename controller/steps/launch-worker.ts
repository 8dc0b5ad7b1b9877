import { type Instance, RunInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import type { BlockferryError } from "../../foundation/errors.js";
import { making, use, useKeys } from "../aws/action-use.js";
import { givenId } from "../aws/aws-errors.js";
import { assertAlive, InstanceWatch, instanceKind, keyNotUsable } from "../aws/instances.js";
import { tagged, undoEach } from "../aws/job-resources.js";
import { poll, waitFor } from "../aws/poll.js";
import type { JobPlan } from "../plan/plan.js";
import type { WorkerRequest } from "../plan/request.js";
import type { Step, StepContext } from "./step.js";

/** Launches a worker for this job alone, without a key pair or a public address. */
export const launchWorker: Step = {
  name: "launch-worker",
  title: "Launching the worker",
  makes: "an instance in the worker's account, with an encrypted root volume",
  when: (plan) => plan.request.workerInstance.kind === "launch",
  uses: () => [
    ...use("worker", "ec2:RunInstances", "launch-inputs"),
    ...making("worker", "ec2:RunInstances", "new-instance"),
    ...use("worker", "iam:PassRole", "worker-role"),
    ...use("worker", "ec2:DescribeInstances", "any"),
    ...use("worker", "ec2:TerminateInstances", "worker-instance"),
    ...useKeys("worker", "volume-key"),
  ],
  make: async (context) => {
    const { plan, worker } = context;
    const [launched] = await instanceKind(worker, plan.jobId).list();
    // The same client token returns an instance that was launched but is not visible yet.
    const { Instances = [] } = launched
      ? { Instances: [launched] }
      : await worker.ec2(runInstances(plan), "the worker");
    return { workerId: givenId(Instances[0]?.InstanceId, "of the worker") };
  },
  wait: async (context) => {
    const { worker, timing } = context;
    const workerId = workerIdOf(context);
    const watch = new InstanceWatch(worker, workerId, timing.visibleMs);
    await poll(waitFor(context, `worker ${workerId} to run`, workerId, timing.resourceMs), async () => {
      const instance = await watch.find();
      if (hasLaunchFailed(instance)) throw await rootFailed(context, workerId);
      if (instance !== undefined) assertAlive(instance, workerId);
      return instance?.State?.Name === "running" ? true : undefined;
    });
    return {};
  },
  undo: async (context) => {
    const { plan, worker, made, timing } = context;
    await undoEach(context, {
      kind: instanceKind(worker, plan.jobId),
      known: made.workerId === undefined ? [] : [made.workerId],
      what: "the worker to be terminated",
      timeoutMs: timing.resourceMs,
      undo: async ({ InstanceId = "", State }) => {
        if (State?.Name === "terminated") return true;
        const InstanceIds = [InstanceId];
        if (State?.Name !== "shutting-down")
          await worker.ec2(new TerminateInstancesCommand({ InstanceIds }), InstanceId);
        return false;
      },
    });
  },
};

/**
 * Returns whether EC2 could not create the root volume of the instance.
 * AWS: "Troubleshoot Amazon EC2 instance launch issues".
 */
function hasLaunchFailed(instance: Instance | undefined): boolean {
  return instance?.StateReason?.Code === "Client.InternalError";
}

function rootFailed({ plan, worker }: StepContext, workerId: string): Promise<BlockferryError> {
  return keyNotUsable(worker, `Worker ${workerId} ended at its launch.`, workerId, [plan.volumeKey]);
}

type LaunchRequest = Extract<WorkerRequest, { kind: "launch" }>;

function launchRequest({ request }: JobPlan): LaunchRequest {
  if (request.workerInstance.kind === "launch") return request.workerInstance;
  throw new Error("The plan launches no worker.");
}

/**
 * Returns the call that launches the worker.
 * @param DryRun only asks whether the call would be allowed
 */
export function runInstances(plan: JobPlan, DryRun?: true): RunInstancesCommand {
  const request = launchRequest(plan);
  const userData = JSON.stringify({ blockferry: plan.request.repository });
  return new RunInstancesCommand({
    ...(DryRun === undefined ? { ClientToken: `${plan.jobId}-worker` } : { DryRun }),
    MinCount: 1,
    MaxCount: 1,
    ImageId: request.imageId,
    InstanceType: request.instanceType as never,
    IamInstanceProfile: request.profile.startsWith("arn:")
      ? { Arn: request.profile }
      : { Name: request.profile },
    MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpEndpoint: "enabled" },
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: request.subnetId,
        AssociatePublicIpAddress: false,
        ...(request.securityGroupIds.length === 0 ? {} : { Groups: request.securityGroupIds }),
      },
    ],
    BlockDeviceMappings: [
      {
        DeviceName: plan.workerRoot?.deviceName,
        Ebs: {
          ...{ Encrypted: true, KmsKeyId: plan.volumeKey, DeleteOnTermination: true, VolumeType: "gp3" },
          ...(typeof plan.workerRoot?.sizeGib === "number" ? { VolumeSize: plan.workerRoot.sizeGib } : {}),
        },
      },
    ],
    InstanceInitiatedShutdownBehavior: "terminate",
    UserData: Buffer.from(userData).toString("base64"),
    // The root volume has no tag: EC2 deletes it with the instance, and it must not look like a volume of the
    // backup.
    TagSpecifications: [tagged("instance", plan.jobId)],
  });
}

export function workerIdOf({ plan, made }: Pick<StepContext, "plan" | "made">): string {
  const { workerInstance } = plan.request;
  return workerInstance.kind === "existing" ? workerInstance.instanceId : (made.workerId ?? "");
}
