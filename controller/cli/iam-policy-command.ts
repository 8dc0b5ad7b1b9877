import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { once } from "../../command-line/options.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { inspectRepository, kmsKeysOf, profileOf } from "../../repository/repository.js";
import type { Party } from "../aws/party.js";
import { passedRole } from "../iam-policy/passed-role.js";
import { POLICY_PARTIES, type PolicyParty, policyFor } from "../iam-policy/policies.js";
import { principalWithPath } from "../iam-policy/role-path.js";
import { openParties } from "../parties.js";
import type { Plan } from "../plan.js";
import { preflight } from "../preflight/preflight.js";
import { parseRequest } from "./parse-request.js";
import { type RequestArguments, requestOptions } from "./request-options.js";

interface IamPolicyArguments extends RequestArguments {
  for: PolicyParty;
  json: boolean;
}

export const iamPolicyCommand: Command<IamPolicyArguments> = {
  command: "iam-policy",
  describe: "Print the least-privilege policy of a party of a backup's route; run it as an administrator",
  builder: (parser: Argv) =>
    parser
      .options({
        ...requestOptions,
        for: {
          choices: POLICY_PARTIES,
          demandOption: true,
          coerce: once("for"),
          describe:
            "Whose policy: who runs blockferry, the roles in the two accounts, the agent, or the key's",
        },
      })
      .example(
        "$0 iam-policy --for source --repo s3://backups/fleet --instance i-0a1b2c3d4e5f60718 --worker i-0f1e2d3c4b5a69788",
        "for the role in the instance's account",
      ) as unknown as Argv<IamPolicyArguments>,
  handler: async (args) => {
    const request = parseRequest(args);
    const location = storageLocation(args);
    const inspected = await inspectRepository(location);
    const parties = await openParties(request, { profile: profileOf(location) });
    const { plan, findings } = await preflight(request, parties, inspected.config.id);
    if (plan === undefined) return findings.throwIfAny();
    const passesRole = args.for === "worker" || args.for === "controller";
    const workerRole = passesRole ? await passedRole(plan, parties.worker) : null;
    const policy = policyFor(args.for, {
      ...(await withGrantee(args.for, plan, parties.worker)),
      ...{ workerRole, repositoryKeys: kmsKeysOf(inspected) },
    });
    process.stdout.write(`${JSON.stringify(policy, null, args.json ? 0 : 2)}\n`);
  },
};

/** A key's policy must name the worker's role with its path. */
async function withGrantee(party: PolicyParty, plan: Plan, worker: Party): Promise<Plan> {
  if (party !== "key-policy") return plan;
  const principalArn = await principalWithPath(worker);
  if (principalArn !== undefined) return { ...plan, worker: { ...plan.worker, principalArn } };
  process.stderr.write(
    `note: ${worker.principalArn} may have a path that is missing here, as IAM does not tell it (iam:GetRole); name the role with --worker-role.\n`,
  );
  return plan;
}
