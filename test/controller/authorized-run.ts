import assert from "node:assert/strict";
import { GetKeyPolicyCommand, PutKeyPolicyCommand } from "@aws-sdk/client-kms";
import type { Statement } from "../../controller/iam-policy/policy-document.js";
import type { IamRequest } from "../lab/iam/iam-request.js";
import { iamRequestsOf } from "../lab/iam/iam-requests.js";
import { type Lab, REPOSITORY } from "../lab/lab.js";
import type { LabRequest } from "../lab/lab-control.js";
import type { Party } from "../lab/party.js";
import { type Holder, type ResourcePolicies, RoutePolicies } from "./route-policies.js";

const isNoDryRun = ({ parameters }: LabRequest) => parameters.DryRun !== "true";

const EVERYTHING = statements([{ Effect: "Allow", Action: "*", Resource: "*" }]);

/** A backup or restore that runs with the printed policies only. Its calls are checked against them. */
export class AuthorizedRun {
  /** Arguments of the command. */
  readonly args: string[];

  private constructor(
    private readonly lab: Lab,
    private readonly policies: RoutePolicies,
    private readonly sharedKeys: string[],
    command: "backup" | "restore",
    options: string[],
  ) {
    this.args = [command, "--repo", REPOSITORY, ...options];
  }

  /**
   * Prints the policies, and sets them for the roles and the shared keys; the lab then refuses all other
   * calls.
   * @param options of the command
   */
  static async prepare(
    lab: Lab,
    env: Record<string, string>,
    options: string[],
    sharedKeys: string[],
    command: "backup" | "restore" = "backup",
  ): Promise<AuthorizedRun> {
    for (const key of sharedKeys) await putKeyPolicy(lab, key, []);
    await restrict(lab, EVERYTHING, EVERYTHING, EVERYTHING);
    const policies = await RoutePolicies.print(command, options, env);
    for (const key of sharedKeys) await putKeyPolicy(lab, key, policies.keyStatements);
    await restrict(lab, policies.of("source"), policies.of("worker"), policies.of("agent"));
    await lab.control.clearRequests();
    return new AuthorizedRun(lab, policies, sharedKeys, command, options);
  }

  /** Asserts that the policies allow every call so far. */
  async assertEnough(): Promise<void> {
    const requests = iamRequestsOf(await this.lab.control.requests(), this.lab.worker.accountId);
    assert.deepEqual(await this.policies.denied(requests, await this.resourcePolicies(requests)), []);
  }

  /**
   * Asserts that the policies allow every call so far, and that no action in the policies of `holders` or of
   * the shared keys is superfluous.
   * @param before earlier calls that agents made at their start
   */
  async assertExact(holders: Holder[], before: LabRequest[] = []): Promise<void> {
    const calls = [...before, ...(await this.lab.control.requests())];
    const requests = iamRequestsOf(calls, this.lab.worker.accountId);
    const resources = await this.resourcePolicies(requests);
    assert.deepEqual(await this.policies.denied(requests, resources), []);
    // The preflight tries all calls that the steps declare, so that a dry run needs more than the steps do.
    const real = iamRequestsOf(calls.filter(isNoDryRun), this.lab.worker.accountId);
    assert.deepEqual(await this.policies.superfluous(holders, real, resources), []);
    for (const key of this.sharedKeys) await this.assertKeyPolicyExact(key, requests, resources);
  }

  private async assertKeyPolicyExact(key: string, requests: IamRequest[], resources: ResourcePolicies) {
    const uses = requests.filter(({ resource }) => resource === key);
    for (const action of this.policies.keyStatements.flatMap(({ Action }) => Action)) {
      const reduced = this.policies.keyStatements.map((statement) => ({
        ...statement,
        Action: statement.Action.filter((other) => other !== action),
      }));
      const present = reduced.filter(({ Action }) => Action.length > 0);
      const without = { ...resources, [key]: keyPolicy(key, present) };
      assert.notDeepEqual(await this.policies.denied(uses, without), [], `${action} on ${key}`);
    }
  }

  /**
   * Returns the current policies of the keys. Roles and bucket leave access to the policies of the accounts.
   */
  private async resourcePolicies(requests: IamRequest[]): Promise<ResourcePolicies> {
    const { source, worker } = this.lab;
    const leaveTo = (Action: string, more: object = {}) =>
      statements([source, worker].map(({ accountId }) => ({ ...allowRoot(accountId, Action), ...more })));
    const policies: ResourcePolicies = {
      "arn:aws:iam::": leaveTo("sts:AssumeRole"),
      "arn:aws:s3:::": leaveTo("s3:*", { Resource: "*" }),
    };
    const keys = requests.flatMap(({ resource }) => (resource.startsWith("arn:aws:kms:") ? resource : []));
    for (const KeyId of new Set(keys)) {
      const command = new GetKeyPolicyCommand({ KeyId, PolicyName: "default" });
      const { Policy = "" } = await ownerOf(this.lab, KeyId).kms.send(command);
      policies[KeyId] = JSON.parse(Policy);
    }
    return policies;
  }
}

async function putKeyPolicy(lab: Lab, KeyId: string, printed: Statement[]): Promise<void> {
  const Policy = JSON.stringify(keyPolicy(KeyId, printed));
  const command = new PutKeyPolicyCommand({ KeyId, PolicyName: "default", Policy });
  await ownerOf(lab, KeyId).kms.send(command);
}

/** Returns the policy of a key whose owner has added the output of `iam-policy`. */
function keyPolicy(key: string, printed: Statement[]): object {
  return statements([{ ...allowRoot(key.split(":")[4] ?? "", "kms:*"), Resource: "*" }, ...printed]);
}

function ownerOf({ source, worker }: Lab, key: string): Party {
  const [, , , region = "", account] = key.split(":");
  return (account === source.accountId ? source : worker).in(region);
}

async function restrict(
  { control, source, worker }: Lab,
  ofSource: object,
  ofWorker: object,
  ofAgent: object,
) {
  await control.allow(source.accountId, "blockferry-source", ofSource);
  await control.allow(worker.accountId, "blockferry-controller", ofWorker);
  for (const { accountId } of [source, worker]) await control.allow(accountId, "blockferry-agent", ofAgent);
}

function allowRoot(account: string, Action: string) {
  return { Effect: "Allow", Principal: { AWS: `arn:aws:iam::${account}:root` }, Action };
}

function statements(Statement: object[]) {
  return { Version: "2012-10-17", Statement };
}
