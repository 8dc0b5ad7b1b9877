/** Who acts: a user, or the role behind a session. */
export interface Caller {
  principalArn: string;
  /** Whether a role's ARN has the path that it has in IAM: STS tells the name alone. */
  rolePath: "known" | "unknown";
}

/**
 * Policies name a role, not its sessions: `assumed-role/NAME/SESSION` is `role/PATH/NAME`.
 * @param callerArn as GetCallerIdentity gives it @param roleArn of the role that was assumed for this, if one was
 */
export function callerOf(callerArn: string, roleArn: string | null): Caller {
  if (roleArn !== null) return { principalArn: roleArn, rolePath: "known" };
  const [, partition, account, role] =
    /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(callerArn) ?? [];
  if (role === undefined) return { principalArn: callerArn, rolePath: "known" };
  return { principalArn: `arn:${partition}:iam::${account}:role/${role}`, rolePath: "unknown" };
}
