import { runSimulation } from "@cloud-copilot/iam-simulate";
import type { IamRequest } from "./iam-request.js";

/** A policy in IAM's language, as far as these tests need it. */
interface PolicyDocument {
  Version: string;
  Statement: object[];
}

/**
 * Returns whether IAM allows the request. The principal's policies decide, and also the resource's policy if
 * the resource is a key or belongs to another account.
 */
export async function isAllowed(
  { principal, action, resource, owner, context }: IamRequest,
  policies: PolicyDocument[],
  resourcePolicy?: object,
): Promise<boolean> {
  const answer = await runSimulation(
    {
      request: {
        ...{ principal, action, resource: { resource, accountId: owner } },
        contextVariables: asKnown(context),
      },
      identityPolicies: policies.map((policy, index) => ({
        name: `policy-${index}`,
        policy: asKnown(policy),
      })),
      ...{ serviceControlPolicies: [], resourceControlPolicies: [] },
      ...(resourcePolicy === undefined ? {} : { resourcePolicy }),
    },
    {},
  );
  if (answer.resultType === "error") {
    throw new Error(`${action} on ${resource}: ${JSON.stringify(answer.errors)}`);
  }
  return answer.overallResult === "Allowed";
}

/**
 * Rewrites condition keys that the simulator does not know. It allows a free part of a key only after a
 * slash, as in `aws:PrincipalTag/...`; KMS has one after a colon:
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context
 */
function asKnown<T>(document: T): T {
  const text = JSON.stringify(document).replaceAll("kms:EncryptionContext:", "aws:PrincipalTag/context-");
  return JSON.parse(text) as T;
}
