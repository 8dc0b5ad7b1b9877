import { KMS_KEY_ARN } from "../repository/encryption/ask-kms.js";
import { once, usage } from "./options.js";

/** Who signs jobs and who verifies them name the same key. */
export const jobKeyOption = { type: "string", requiresArg: true, coerce: once("job-key") } as const;

/** @throws Usage */
export function parseJobKey(arn: string | undefined): string | undefined {
  if (arn === undefined || KMS_KEY_ARN.test(arn)) return arn;
  throw usage(
    `--job-key ${arn} is no ARN of a KMS key itself.`,
    "Write, say, arn:aws:kms:eu-central-1:111111111111:key/...; an alias could come to mean another key.",
  );
}
