import type { Condition } from "./policy-document.js";

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
