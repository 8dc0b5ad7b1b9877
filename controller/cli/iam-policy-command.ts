import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { once } from "../../command-line/options.js";
import { storageLocation } from "../../command-line/storage-options.js";
import { inspectRepository, profileOf } from "../../repository/repository.js";
import { openSigning } from "../aws/signing-key.js";
import { POLICY_PARTIES, type PolicyParty } from "../iam-policy/policies.js";
import { openParties } from "../parties.js";
import { preflight } from "../preflight/preflight.js";
import { parseRequest } from "./parse-request.js";
import { type PolicyArguments, policyOptions, printPolicy } from "./print-policy.js";
import { type RequestArguments, requestOptions } from "./request-options.js";

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
