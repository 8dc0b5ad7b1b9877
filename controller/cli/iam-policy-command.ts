import type { Argv } from "yargs";
import { printableJson } from "../../command-line/format.js";
import { parseMacKey, parseTombstoneKey } from "../../command-line/mac-key-option.js";
import { once, repeated, text, texts, usage } from "../../command-line/options.js";
import { printNote } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import { type StorageArguments, storageLocation } from "../../command-line/storage-options.js";
import { KMS_KEY_ARN } from "../../repository/encryption/kms.js";
import { inspectRepository, profileOf } from "../../repository/open/repository.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import { openParty, type Party } from "../aws/party.js";
import { bucketNotes } from "../iam-policy/bucket-policy.js";
import { repositoryKeysOf } from "../iam-policy/keys.js";
import { POLICY_PARTIES, type PolicyParty, policyFor } from "../iam-policy/policies.js";
import type { PolicyPlan } from "../iam-policy/resources.js";
import { passedRole, principalWithPath, restoredRole } from "../iam-policy/roles.js";
import { openParties, type Parties } from "../plan/parties.js";
import type { JobPlan } from "../plan/plan.js";
import { openSigning } from "../plan/signing.js";
import { preflight } from "../preflight/preflight.js";
import type { ControllerOutput } from "./outputs.js";
import { parseRequest, type RequestArguments, requestOptions } from "./request-options.js";

interface IamPolicyArguments extends RequestArguments, PolicyArguments {
  for: PolicyParty;
}

export const iamPolicyCommand: Command<IamPolicyArguments> = {
  command: "iam-policy",
  describe: "Print the least-privilege policy of a party of a backup's route; run it as an administrator",
  builder: (parser: Argv) =>
    parser
      .options({
        ...requestOptions,
        ...policyOptions,
        for: {
          choices: POLICY_PARTIES,
          demandOption: true,
          coerce: once("for"),
          describe:
            "Party that the policy is for: the user of blockferry, the roles in the two accounts, the agent, the key of the snapshots, the user who verifies or maintains the repository, or the bucket",
        },
      })
      .example(
        "$0 iam-policy --for source --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker i-0f1e2d3c4b5a69788",
        "for the role in the instance's account",
      ) as unknown as Argv<IamPolicyArguments>,
  handler: async (args) => {
    const request = parseRequest(args);
    const location = storageLocation(args);
    const { config } = await inspectRepository(location);
    const signing = openSigning({ config }, request, { profile: profileOf(location) });
    const parties = await openParties(request, signing);
    const { plan, findings } = await preflight(request, parties);
    if (plan === undefined) return findings.throwIfAny();
    await printPolicy(args.for, plan, parties, args);
  },
};

export interface PolicyArguments extends StorageArguments {
  repositoryKey: string[] | undefined;
  tombstoneKey: string | undefined;
  json: boolean;
}

export const policyOptions = {
  "repository-key": {
    ...texts(
      "Policies:",
      "repository-key",
      "ARN of a KMS key that policies let open the repository; may be repeated  [default: those that open it now]",
    ),
    coerce: parseRepositoryKeys,
  },
  // Only the command line decides who may sign; no environment variable replaces this option.
  "tombstone-key": {
    ...text(
      "Policies:",
      "tombstone-key",
      "ARN of the KMS key (HMAC_256) that `forget` signs tombstones with, for the policies of maintenance and verify",
    ),
    coerce: (arn: string | undefined) => parseMacKey("tombstone-key", once("tombstone-key")(arn)),
  },
} as const;

/**
 * Prints a policy as JSON, and notes about left-out keys on stderr.
 * @throws Usage; the errors of IAM and of opening the repository
 */
export async function printPolicy(
  party: PolicyParty,
  plan: JobPlan,
  parties: Parties,
  args: PolicyArguments,
): Promise<void> {
  const notes: string[] = [];
  const policy: ControllerOutput<"iam-policy"> = policyFor(
    party,
    await policyPlan(party, plan, parties, args, notes),
  );
  process.stdout.write(`${printableJson(policy, args.json ? 0 : 2)}\n`);
  for (const note of notes) printNote(note);
}

/** Parties whose policies let them open the repository. */
const OPENS_REPOSITORY: ReadonlySet<PolicyParty> = new Set(["controller", "agent", "verify", "maintenance"]);

/** @param notes receives a line for every fact that the policy leaves out */
async function policyPlan(
  party: PolicyParty,
  plan: JobPlan,
  { source, worker }: Parties,
  args: PolicyArguments,
  notes: string[],
): Promise<PolicyPlan> {
  const location = storageLocation(args);
  const named = args.repositoryKey ?? [];
  const keys = OPENS_REPOSITORY.has(party)
    ? await repositoryKeysOf(location, named)
    : { arns: [], notes: [] };
  const passesRole = party === "controller" || party === "source" || party === "worker";
  const complete: PolicyPlan = {
    ...(party === "key-policy" && plan.kind === "backup" ? await withGrantee(plan, worker, notes) : plan),
    workerRole: passesRole ? await passedRole(plan, worker) : null,
    restoredRole: passesRole && plan.kind === "restore" ? await restoredRole(plan, source) : null,
    repositoryKeys: keys.arns,
    tombstoneKey: await tombstoneKeyOf(plan, location, args),
    ...(party === "bucket" ? { bucketUser: await bucketUser(plan, location) } : {}),
  };
  notes.push(...keys.notes, ...(party === "bucket" ? bucketNotes(complete) : []));
  return complete;
}

/** @throws Usage */
function parseRepositoryKeys(given: string | string[]): string[] {
  const arns = repeated("repository-key")(given);
  const wrong = arns.find((arn) => !KMS_KEY_ARN.test(arn));
  if (wrong === undefined) return arns;
  throw usage(
    `--repository-key ${wrong} is not the ARN of a KMS key itself.`,
    "Write, say, arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab; `aws kms describe-key` shows the key of an alias.",
  );
}

/** @throws Usage, also when the key also signs jobs or replies, which maintenance could then forge */
async function tombstoneKeyOf(
  { request: { jobKey, replyKey } }: JobPlan,
  location: StorageLocation,
  { tombstoneKey }: PolicyArguments,
): Promise<string | undefined> {
  if (tombstoneKey === undefined) return undefined;
  const { config } = await inspectRepository(location);
  const named = parseTombstoneKey(tombstoneKey, { config, location });
  if (tombstoneKey !== jobKey && tombstoneKey !== replyKey) return named?.key.arn;
  throw usage(
    "--tombstone-key is the key of --job-key or --reply-key: anyone who may forget points could also sign jobs or replies.",
    "Create a separate key: aws kms create-key --key-usage GENERATE_VERIFY_MAC --key-spec HMAC_256",
  );
}

/** Returns the account of the credentials that reach the bucket. */
async function bucketUser({ source }: JobPlan, location: StorageLocation): Promise<string> {
  const profile = profileOf(location) ?? null;
  const self = await openParty("source", { profile, roleArn: null, externalId: null, region: source.region });
  return self.accountId;
}

/**
 * Returns the plan with the path of the worker's role.
 * A key policy must name the role with its path.
 */
async function withGrantee<P extends JobPlan>(plan: P, worker: Party, notes: string[]): Promise<P> {
  const principalArn = await principalWithPath(worker);
  if (principalArn !== undefined) return { ...plan, worker: { ...plan.worker, principalArn } };
  notes.push(
    `${worker.principalArn} may have a path that is missing here, because IAM did not return it (iam:GetRole); name the role with --worker-role.`,
  );
  return plan;
}
