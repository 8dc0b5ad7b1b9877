import { macKeyOption, parseMacKey } from "../../command-line/mac-key-option.js";
import { text, texts, usage } from "../../command-line/options.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";
import type { JobRequest, WorkerRequest } from "../plan/request.js";
import type { SigningKeys } from "../plan/signing.js";

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

export interface WorkerArguments extends SigningArguments {
  worker: string | undefined;
  workerAmi: string | undefined;
  workerSubnet: string | undefined;
  workerType: string | undefined;
  workerProfile: string | undefined;
  workerSecurityGroup: string[] | undefined;
  workerAccount: "source" | "worker";
}

const WORKER = "Worker:";

export const workerOptions = {
  worker: text(WORKER, "worker", "Id of a running instance with `blockferry-agent serve`"),
  "worker-ami": text(
    WORKER,
    "worker-ami",
    "Instead: launch a worker of this image, and terminate it at the end",
  ),
  "worker-subnet": text(
    WORKER,
    "worker-subnet",
    "Subnet of a launched worker; decides its Availability Zone",
  ),
  "worker-type": text(WORKER, "worker-type", "Instance type of a launched worker"),
  "worker-profile": text(WORKER, "worker-profile", "Instance profile (name or ARN) of a launched worker"),
  "worker-security-group": texts(
    WORKER,
    "worker-security-group",
    "Security group of a launched worker; may be repeated  [default: the VPC's]",
  ),
  "worker-account": {
    choices: ["source", "worker"],
    group: WORKER,
    default: "worker",
    describe: "Account that the worker is in; with `source` nothing is shared",
  },
  ...signingOptions,
} as const;

/** @throws Usage */
export function refuseContradictions(request: JobRequest): void {
  const { workerAccount, worker, workerInstance, repository } = request;
  if (workerInstance.kind === "launch" && parseStorageLocation(repository.repo).kind === "directory") {
    throw usage(
      `A launched worker cannot reach ${repository.repo}: it is a directory on this machine.`,
      "Give --repo s3://BUCKET/PREFIX, or --worker with an instance that has the directory.",
    );
  }
  if (workerAccount === "source" && (worker.profile !== null || worker.roleArn !== null)) {
    throw usage(
      "With --worker-account source the worker is in the instance's account.",
      "Leave out --worker-aws-profile and --worker-role, or leave out --worker-account.",
    );
  }
}

const LAUNCH_OPTIONS = ["workerAmi", "workerSubnet", "workerType", "workerProfile"] as const;

/** @throws Usage */
export function parseWorker(args: WorkerArguments): WorkerRequest {
  const given = [...LAUNCH_OPTIONS, "workerSecurityGroup" as const].filter(
    (name) => args[name] !== undefined,
  );
  if (args.worker !== undefined) {
    if (given.length === 0) return { kind: "existing", instanceId: args.worker };
    throw usage(
      "--worker names a running worker, but options for launching one are also given.",
      "Give only --worker, or --worker-ami with the other options for launching.",
    );
  }
  const { workerAmi, workerSubnet, workerType, workerProfile } = args;
  if (!workerAmi || !workerSubnet || !workerType || !workerProfile) {
    throw usage(
      "No worker is named.",
      "Give --worker i-..., or all of --worker-ami, --worker-subnet, --worker-type and --worker-profile to launch one.",
    );
  }
  return {
    kind: "launch",
    ...{ imageId: workerAmi, subnetId: workerSubnet, instanceType: workerType, profile: workerProfile },
    securityGroupIds: args.workerSecurityGroup ?? [],
  };
}
