import type { JobPlan } from "../plan.js";
import type { Statement } from "./policy-document.js";

/** Who asks for jobs signs them, and `check` tries it; who does them can only see that they are signed. */
const ACTIONS = {
  controller: ["kms:DescribeKey", "kms:GenerateMac"],
  agent: ["kms:VerifyMac"],
} as const;

/** For `--job-key`. */
export function jobKeyStatements({ request: { jobKey } }: JobPlan, who: keyof typeof ACTIONS): Statement[] {
  return jobKey === undefined ? [] : [{ Effect: "Allow", Action: [...ACTIONS[who]], Resource: [jobKey] }];
}
