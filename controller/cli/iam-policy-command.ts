import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { once } from "../../command-line/options.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { inspectRepository } from "../../repository/repository.js";
import { passedRole } from "../iam-policy/passed-role.js";
import { POLICY_PARTIES, type PolicyParty, policyFor } from "../iam-policy/policies.js";
import { openParties } from "../parties.js";
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
    const { config, keys } = await inspectRepository(storageLocation(args));
    const parties = await openParties(request);
    const { plan, findings } = await preflight(request, parties, config.id);
    if (plan === undefined) return findings.throwIfAny();
    const passesRole = args.for === "worker" || args.for === "controller";
    const workerRole = passesRole ? await passedRole(plan, parties.worker) : null;
    const repositoryKeys = keys.flatMap(({ from }) => (from.kind === "kms" ? [from.keyArn] : []));
    const policy = policyFor(args.for, { ...plan, workerRole, repositoryKeys });
    process.stdout.write(`${JSON.stringify(policy, null, args.json ? 0 : 2)}\n`);
  },
};
