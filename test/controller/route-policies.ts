import assert from "node:assert/strict";
import type { PolicyParty } from "../../controller/iam-policy/policies.js";
import type { Policy, Statement } from "../../controller/iam-policy/policy-document.js";
import type { IamRequest } from "../lab/iam/iam-request.js";
import { isAllowed } from "../lab/iam/simulate.js";
import { REPOSITORY } from "../lab/lab.js";
import { controller } from "../support/controller.js";

/** The holder of each policy: the end of a user ARN, or an assumed role without its session name. */
const HOLDERS = {
  controller: "user/worker",
  source: "assumed-role/blockferry-source",
  worker: "assumed-role/blockferry-controller",
  agent: "assumed-role/blockferry-agent",
} as const;

export type Holder = keyof typeof HOLDERS;

/** Policies of keys, roles and the bucket, by the start of their ARN. */
export type ResourcePolicies = Record<string, object>;

/** The printed policies of a backup or restore, by the identity that needs them. */
export class RoutePolicies {
  private constructor(
    private readonly byHolder: Record<Holder, Policy>,
    readonly keyStatements: Statement[],
  ) {}

  /** Prints the policies. @param options of the command */
  static async print(
    command: "backup" | "restore",
    options: string[],
    env: Record<string, string>,
  ): Promise<RoutePolicies> {
    const print = async (party: PolicyParty): Promise<Policy> => {
      const asking = command === "backup" ? ["iam-policy", "--for"] : ["restore", "--policy-for"];
      const args = [...asking, party, "--repo", REPOSITORY, ...options, "--json"];
      const { code, stdout, stderr } = await controller(args, env);
      assert.equal(code, 0, `${party}: ${stdout}\n${stderr}`);
      return JSON.parse(stdout);
    };
    const [own, source, worker] = await Promise.all([print("controller"), print("source"), print("worker")]);
    const [agent, key] = await Promise.all([print("agent"), print("key-policy")]);
    const isOneAccess = options.includes("--worker-account");
    const byHolder = {
      controller: own,
      source: isOneAccess ? merged([source, worker]) : source,
      worker,
      agent,
    };
    return new RoutePolicies(byHolder, key.Statement);
  }

  of(holder: Holder): Policy {
    return this.byHolder[holder];
  }

  /** Returns the calls that these policies, and the policies of keys, roles and the bucket, do not allow. */
  async denied(requests: IamRequest[], resources: ResourcePolicies): Promise<IamRequest[]> {
    const answers = await Promise.all(
      requests.map((request) =>
        isAllowed(request, [this.of(holderOf(request))], policyOf(resources, request.resource)),
      ),
    );
    return requests.filter((_, index) => !answers[index]);
  }

  /** Returns the actions without which all calls would still be allowed. */
  async superfluous(
    holders: Holder[],
    requests: IamRequest[],
    resources: ResourcePolicies,
  ): Promise<string[]> {
    const found: string[] = [];
    for (const holder of holders) {
      const own = requests.filter((request) => holderOf(request) === holder);
      for (const { what, without } of reductions(this.of(holder))) {
        const answers = own
          .filter(({ action }) => action === what.action)
          .map((request) => isAllowed(request, [without], policyOf(resources, request.resource)));
        if ((await Promise.all(answers)).every(Boolean)) found.push(`${holder}: ${JSON.stringify(what)}`);
      }
    }
    return found;
  }
}

function policyOf(resources: ResourcePolicies, arn: string): object | undefined {
  return Object.entries(resources).find(([prefix]) => arn.startsWith(prefix))?.[1];
}

function holderOf({ principal }: IamRequest): Holder {
  const found = Object.entries(HOLDERS).find(([, name]) => principal.split(":").at(-1)?.startsWith(name));
  assert.ok(found !== undefined, `${principal} is to make no call`);
  return found[0] as Holder;
}

/** Merges policies into one. Its needed permissions have one statement for each resource. */
function merged(policies: Policy[]): Policy {
  const all = policies.flatMap(({ Statement }) => Statement);
  const statements = new Map<string, Statement>();
  for (const { Action, Resource, ...rest } of all.filter(({ Sid }) => Sid === undefined)) {
    for (const resource of Resource) {
      const key = JSON.stringify([resource, rest]);
      const before = statements.get(key)?.Action ?? [];
      const both = [...new Set([...before, ...Action])];
      statements.set(key, { ...rest, Action: both, Resource: [resource] });
    }
  }
  const optional = all.filter(({ Sid }) => Sid !== undefined);
  return { Version: "2012-10-17", Statement: [...statements.values(), ...optional] };
}

/** Returns, for each needed action, the policy without this action in its statement. */
function reductions(policy: Policy) {
  const needed = policy.Statement.filter(({ Sid }) => Sid === undefined);
  return needed.flatMap((statement) =>
    statement.Action.map((action) => {
      const Action = statement.Action.filter((other) => other !== action);
      const rest = policy.Statement.filter((other) => other !== statement);
      const reduced = Action.length === 0 ? rest : [...rest, { ...statement, Action }];
      const { Resource, Condition } = statement;
      return { what: { action, Resource, Condition }, without: { ...policy, Statement: reduced } };
    }),
  );
}
