import { use } from "../aws/action-use.js";
import type { RestorePlan } from "../plan.js";
import { detachAll } from "./attach-volumes.js";
import type { Step } from "./step.js";

/** Never by force: the agent's writes are in flight until the worker has released the volume. */
export const detachVolumes: Step<RestorePlan> = {
  name: "detach-volumes",
  title: "Detaching the volumes from the worker",
  makes: "nothing; the volumes are free to be used",
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
