import { macKeyOption, parseMacKey } from "../../command-line/mac-key-option.js";
import { usage } from "../../command-line/options.js";
import type { SigningKeys } from "../signing.js";

export interface SigningArguments {
  jobKey: string | undefined;
  replyKey: string | undefined;
}

const GROUP = "Signing:";

/** Options of every command that reads or writes documents of jobs. */
export const signingOptions = {
  "job-key": {
    ...macKeyOption(
      "job-key",
      "ARN of the KMS key (HMAC_256) that jobs and journals are signed with; the agent is started with the same",
    ),
    group: GROUP,
  },
  "reply-key": {
    ...macKeyOption(
      "reply-key",
      "ARN of the KMS key (HMAC_256) that the agent signs heartbeats and results with; the agent is started with the same",
    ),
    group: GROUP,
  },
} as const;

/** @throws Usage */
export function parseSigning(args: SigningArguments): SigningKeys {
  const jobKey = parseMacKey("job-key", args.jobKey);
  const replyKey = parseMacKey("reply-key", args.replyKey);
  if (replyKey !== undefined && jobKey === undefined) {
    throw usage(
      "--reply-key needs --job-key: a job that anyone can change could ask for replies that are not signed.",
      "Give both; they may be the same key.",
    );
  }
  return {
    ...(jobKey === undefined ? {} : { jobKey }),
    ...(replyKey === undefined ? {} : { replyKey }),
  };
}
