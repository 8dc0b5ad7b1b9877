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

/** DNS suffixes of partitions other than `amazonaws.com`. AWS: `partitions.json` of the SDKs */
const DNS_SUFFIXES: Record<string, string> = {
  "aws-cn": "amazonaws.com.cn",
  "aws-eusc": "amazonaws.eu",
  "aws-iso": "c2s.ic.gov",
  "aws-iso-b": "sc2s.sgov.gov",
  "aws-iso-e": "cloud.adc-e.uk",
  "aws-iso-f": "csp.hci.ic.gov",
};

/**
 * Limits a key to requests that a service makes on behalf of the caller.
 * KMS documents the names with `amazonaws.com` only, so other partitions allow both spellings: no other
 * service has either name.
 * AWS: "AWS KMS condition keys", kms:ViaService
 */
export function viaService(service: "ec2" | "s3", partition: string, regions: string[]): Condition {
  const suffixes = ["amazonaws.com", DNS_SUFFIXES[partition] ?? []].flat();
  const names = [...new Set(regions)].flatMap((region) =>
    suffixes.map((suffix) => `${service}.${region}.${suffix}`),
  );
  return { StringEquals: { "kms:ViaService": names.length === 1 ? (names[0] as string) : names } };
}
