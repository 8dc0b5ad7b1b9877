import {
  DeleteVolumeCommand,
  DetachVolumeCommand,
  type Instance,
  ModifyInstanceAttributeCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { BlockferryError } from "../../foundation/errors.js";
import { use, useKeys } from "../aws/action-use.js";
import { attachRestored } from "../aws/attach.js";
import { isNotFound } from "../aws/aws-errors.js";
import { JOB_TAG, tagOf } from "../aws/job-resources.js";
import { poll, waitFor } from "../aws/poll.js";
import { volumeKind } from "../aws/volumes.js";
import type { RestorePlan } from "../plan/plan.js";
import { awaitState } from "./launch-restored.js";
import { madeId, restoredVolumeIds, type Step, type StepContext } from "./step.js";

/**
 * Replaces the root volume of the instance, which is possible while the instance is stopped.
 * AWS: "Detach an Amazon EBS volume from an Amazon EC2 instance".
 */
export const swapVolumes: Step<RestorePlan> = {
  name: "swap-volumes",
  title: "Giving the instance the restored volumes",
  makes:
    "attachments of the restored volumes to the stopped instance, in place of the root volume of its image",
  uses: ({ route }) => [
    ...use("source", "ec2:StopInstances", "restored-instance"),
    ...use("source", "ec2:DescribeInstances", "any"),
    ...use("source", "ec2:DescribeVolumes", "any"),
    ...use("source", "ec2:DetachVolume", "job-volume", "restored-instance"),
    ...use("source", "ec2:DeleteVolume", "job-volume"),
    ...use("source", "ec2:AttachVolume", "job-volume", "restored-instance"),
    ...use("source", "ec2:ModifyInstanceAttribute", "restored-instance"),
    ...useKeys("source", route === "same-account" ? "volume-key" : "copy-key"),
  ],
  make: async (context) => {
    const { source, made } = context;
    const InstanceId = made.instanceId ?? "";
    await source.ec2(new StopInstancesCommand({ InstanceIds: [InstanceId] }), InstanceId);
    const instance = await awaitState(context, "stopped");
    await removeImageVolumes(context, instance);
    const volumes = attachablesOf(context, instance.RootDeviceName ?? "");
    const restoredDevices = await attachRestored(context, source, InstanceId, volumes);
    await keepRecordedEnds(context);
    return { restoredDevices };
  },
  wait: async () => ({}),
  // The instance is terminated next, and the volumes are removed after it.
  undo: async () => undefined,
};

export const startRestored: Step<RestorePlan> = {
  name: "start-instance",
  title: "Starting the instance",
  makes: "nothing; the instance runs from its restored volumes",
  uses: ({ route }) => [
    ...use("source", "ec2:StartInstances", "restored-instance"),
    ...use("source", "ec2:DescribeInstances", "any"),
    ...useKeys("source", route === "same-account" ? "volume-key" : "copy-key"),
  ],
  make: async ({ source, made }) => {
    const InstanceIds = [made.instanceId ?? ""];
    await source.ec2(new StartInstancesCommand({ InstanceIds }), InstanceIds.join());
    return {};
  },
  wait: async (context) => {
    await awaitState(context, "running");
    return {};
  },
  undo: async () => undefined,
};

/**
 * Removes the volumes that the launch created: they carry the job's tag and are not restored.
 * @throws AttachFailed when the instance has other volumes, because it would start with unrestored data
 */
async function removeImageVolumes(context: StepContext<RestorePlan>, instance: Instance): Promise<void> {
  const { plan, source, made, timing } = context;
  const restored = Object.values(restoredVolumeIds(plan, made));
  const kind = volumeKind(source, plan.jobId);
  const attached = (instance.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  const others = attached.filter((id) => !restored.includes(id));
  const found = others.length === 0 ? [] : await kind.describe(others);
  const ours = found.filter(({ Tags }) => tagOf(Tags, JOB_TAG) === plan.jobId);
  const foreign = others.filter((id) => !ours.some(({ VolumeId }) => VolumeId === id));
  if (foreign.length > 0) throw foreignVolumes(made.instanceId ?? "", foreign);
  for (const { VolumeId = "" } of ours) {
    await source.ec2(new DetachVolumeCommand({ VolumeId }), VolumeId);
    const wait = waitFor(context, `volume ${VolumeId} to be detached`, VolumeId, timing.resourceMs);
    await poll(wait, async () => {
      const [volume] = await kind.describe([VolumeId]);
      return volume === undefined || volume.State === "available" ? true : undefined;
    });
    await source.ec2(new DeleteVolumeCommand({ VolumeId }), VolumeId).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}

/**
 * Returns the volumes to attach, root first.
 * The root gets the device name that this instance boots from; its recorded name does not matter.
 */
function attachablesOf({ plan, made }: StepContext<RestorePlan>, root: string) {
  const ids = restoredVolumeIds(plan, made);
  const attachable = (of: string, name: string | null, as: "root" | "data") => ({
    ...{ of, volumeId: madeId(ids, of), name, as },
  });
  const rootName = plan.launch?.rootVolume ?? "";
  const data = plan.volumes.filter(({ name }) => name !== rootName);
  return [
    attachable(rootName, root, "root"),
    ...data.map(({ name, attachName }) => attachable(name, attachName, "data")),
  ];
}

/** Restores the recorded DeleteOnTermination of the volumes, which is off for attached volumes by default. */
async function keepRecordedEnds({ plan, made, source }: StepContext<RestorePlan>): Promise<void> {
  const InstanceId = made.instanceId ?? "";
  const ids = restoredVolumeIds(plan, made);
  const volumes = await volumeKind(source, plan.jobId).describe(Object.values(ids));
  const mappings = plan.volumes
    .filter(({ deleteOnTermination }) => deleteOnTermination)
    .flatMap(({ name }) => {
      const volume = volumes.find(({ VolumeId }) => VolumeId === ids[name]);
      return volume?.Attachments?.find((one) => one.InstanceId === InstanceId)?.Device ?? [];
    })
    .map((DeviceName) => ({ DeviceName, Ebs: { DeleteOnTermination: true } }));
  if (mappings.length === 0) return;
  const command = new ModifyInstanceAttributeCommand({ InstanceId, BlockDeviceMappings: mappings });
  await source.ec2(command, InstanceId);
}

function foreignVolumes(instanceId: string, ids: string[]): BlockferryError {
  return new BlockferryError({
    code: "AttachFailed",
    message: `Instance ${instanceId} has volumes that neither were restored nor belong to its image: ${ids.join(", ")}.`,
    remedy: "Find out in CloudTrail who attached them, then restore again.",
    object: instanceId,
  });
}
