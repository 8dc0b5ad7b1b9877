/** Values by operator, then by condition key. */
export type Condition = Record<string, Record<string, string | string[]>>;

export interface Statement {
  Sid?: string;
  Effect: "Allow" | "Deny";
  Principal?: { AWS: string } | "*";
  Action: string[];
  Resource: string[];
  Condition?: Condition;
}

/** A policy in the form that IAM, KMS and S3 accept. */
export interface Policy {
  Version: "2012-10-17";
  Statement: Statement[];
}

/** Combines conditions so that all must hold; keys of the same operator are merged. */
export function allOf(...conditions: (Condition | undefined)[]): Condition {
  const all: Condition = {};
  for (const [operator, keys] of conditions.flatMap((condition) => Object.entries(condition ?? {}))) {
    all[operator] = { ...all[operator], ...keys };
  }
  return all;
}

/** Returns the `Condition` part of a statement; empty without conditions. */
export function heldTo(condition: Condition): { Condition?: Condition } {
  return Object.keys(condition).length === 0 ? {} : { Condition: condition };
}

/**
 * Escapes the characters of a name that IAM would read as a wildcard or a variable.
 * Names can come from a recovery point or the command line.
 * AWS: "IAM policy elements: Variables and tags", special characters
 */
export function literal(name: string): string {
  return name.replaceAll(/[*?$]/g, (character) => `\${${character}}`);
}
