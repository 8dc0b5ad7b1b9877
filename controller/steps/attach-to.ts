import { use, useKeys } from "../aws/action-use.js";
import { attachRestored } from "../aws/attach-restored.js";
import type { RestorePlan } from "../plan.js";
import { restoredVolumeIds } from "../restored.js";
import { detachFrom } from "./attach-volumes.js";
import { madeId } from "./made-id.js";
import type { Step } from "./step.js";

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
