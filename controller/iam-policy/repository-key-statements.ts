import type { Statement } from "./policy-document.js";
import type { PolicyPlan } from "./resources.js";

/** Returns the permission to open an encrypted repository with its KMS keys, and nothing else. */
export function repositoryKeyStatements({ repositoryId, repositoryKeys }: PolicyPlan): Statement[] {
  if (repositoryKeys.length === 0) return [];
  const Condition = { StringEquals: { "kms:EncryptionContext:blockferry:repository": repositoryId } };
  return [{ Effect: "Allow", Action: ["kms:Decrypt"], Resource: repositoryKeys, Condition }];
}
