import { askKms, type KmsCaller } from "./ask-kms.js";

/** The MAC algorithm of KMS for HMAC_256 keys, the only one for that spec. */
export const MAC_ALGORITHM = "HMAC_SHA_256";

/**
 * A KMS key that makes MACs, for a process with that right.
 * A process that may only verify MACs has no such object.
 */
export interface MacKey {
  /** ARN of the key itself, not of an alias. */
  readonly arn: string;
  /**
   * Returns the 32 bytes of HMAC-SHA-256: the same for the same message, for every caller.
   * @param message of at most 4,096 bytes, the limit of KMS
   */
  mac(message: Buffer, signal?: AbortSignal): Promise<Buffer>;
}

/** A KMS key as the agent receives it, and the credentials for KMS. */
export interface KmsKey extends KmsCaller {
  /** ARN of the key itself, not of an alias. */
  arn: string;
}

/** Returns the key for signing. Its `mac` throws the errors of `askKms`. */
export function macKeyOf({ arn, ...caller }: KmsKey): MacKey {
  return {
    arn,
    mac: (message) =>
      askKms("kms:GenerateMac", arn, caller, async (client, sdk, options) => {
        const command = new sdk.GenerateMacCommand({
          ...{ KeyId: arn, Message: message, MacAlgorithm: MAC_ALGORITHM },
        });
        const { Mac } = await client.send(command, options);
        if (Mac === undefined) throw new Error("KMS gave no MAC");
        return Buffer.from(Mac);
      }),
  };
}

/** A message, and its alleged MAC in base64. */
export interface ClaimedMac {
  message: Buffer;
  mac: string;
}

/** Parallel requests. */
const REQUESTS = 16;

/**
 * Returns whether each MAC is from the key, in the order of the claims. Asks KMS about each one.
 * @throws the errors of `askKms`
 */
export function verifyMacs({ arn, ...caller }: KmsKey, claims: readonly ClaimedMac[]): Promise<boolean[]> {
  return askKms("kms:VerifyMac", arn, caller, async (client, sdk, options) => {
    const isValid = async ({ message, mac }: ClaimedMac) => {
      const command = new sdk.VerifyMacCommand({
        ...{ KeyId: arn, Message: message, MacAlgorithm: MAC_ALGORITHM },
        Mac: Buffer.from(mac, "base64"),
      });
      const { MacValid } = await client.send(command, options).catch(orInvalid);
      return MacValid === true;
    };
    const verdicts: boolean[] = [];
    for (let first = 0; first < claims.length; first += REQUESTS)
      verdicts.push(...(await Promise.all(claims.slice(first, first + REQUESTS).map(isValid))));
    return verdicts;
  });
}

function orInvalid(error: unknown): { MacValid: false } {
  if (error instanceof Error && error.name === "KMSInvalidMacException") return { MacValid: false };
  throw error;
}
