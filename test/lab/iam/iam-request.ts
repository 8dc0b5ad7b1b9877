import type { LabRequest } from "../lab-control.js";

/** One question to IAM: whether a principal may do something to one resource. */
export interface IamRequest {
  principal: string;
  action: string;
  /** ARN; `*` for actions that are about no resource. */
  resource: string;
  /** Account whose resource policy must allow it, too, if that is not the principal's. */
  owner: string;
  /** Condition keys, by name. */
  context: Record<string, string | string[]>;
}

export type Question = Omit<IamRequest, "principal">;

/** What a call says that IAM decides by, besides its action. */
export function question(
  { account, service, action }: LabRequest,
  resource: string,
  context: IamRequest["context"] = {},
  owner = account ?? "",
): Question {
  return { action: `${service}:${action}`, resource, owner, context };
}
