/** The identity behind credentials: a user, or the role of a session. */
export interface Caller {
  principalArn: string;
  /** Whether the role's ARN includes its IAM path; STS returns only the name of the role. */
  rolePath: "known" | "unknown";
}

/**
 * Returns the principal that policies name, which is the role and not its session.
 * `assumed-role/NAME/SESSION` becomes `role/PATH/NAME`.
 * @param callerArn as GetCallerIdentity returns it
 * @param roleArn the role that was assumed for these credentials, or null
 */
export function callerOf(callerArn: string, roleArn: string | null): Caller {
  if (roleArn !== null) return { principalArn: roleArn, rolePath: "known" };
  const [, partition, account, role] =
    /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(callerArn) ?? [];
  if (role === undefined) return { principalArn: callerArn, rolePath: "known" };
  return { principalArn: `arn:${partition}:iam::${account}:role/${role}`, rolePath: "unknown" };
}
