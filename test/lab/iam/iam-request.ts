import type { LabRequest } from "../lab-control.js";

/** A question to IAM: may a principal perform an action on a resource? */
export interface IamRequest {
  principal: string;
  action: string;
  /** ARN; `*` for actions without a resource. */
  resource: string;
  /**
   * Account that owns the resource. If it is not the principal's, its resource policy must also allow the
   * action.
   */
  owner: string;
  /** Condition keys, by name. */
  context: Record<string, string | string[]>;
}

export type Question = Omit<IamRequest, "principal">;

/** Returns the question for a call. @param context condition keys, in addition to the action */
export function question(
  { account, service, action }: LabRequest,
  resource: string,
  context: IamRequest["context"] = {},
  owner = account ?? "",
): Question {
  return { action: `${service}:${action}`, resource, owner, context };
}
