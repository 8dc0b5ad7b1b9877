import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { askKms, KMS_KEY_ARN, type KmsCaller } from "./kms.js";

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
export interface KmsMacKey extends KmsCaller {
  /** ARN of the key itself, not of an alias. */
  arn: string;
}

/** Returns the key for signing. Its `mac` throws the errors of `askKms`. */
export function macKeyOf({ arn, ...caller }: KmsMacKey): MacKey {
  return {
    arn,
    mac: (message) =>
      askKms("kms:GenerateMac", arn, caller, async (client, sdk, options) => {
        const command = new sdk.GenerateMacCommand({
          ...{ KeyId: arn, Message: message, MacAlgorithm: MAC_ALGORITHM },
        });
        const { Mac } = await client.send(command, options);
        if (Mac === undefined) throw new Error("KMS returned no MAC");
        return Buffer.from(Mac);
      }),
  };
}

/** A message, and its alleged MAC in base64. */
interface ClaimedMac {
  message: Buffer;
  mac: string;
}

/** Parallel requests. */
const REQUESTS = 16;

/**
 * Returns whether each MAC is from the key, in the order of the claims. Asks KMS about each one.
 * @throws the errors of `askKms`
 */
export function verifyMacs({ arn, ...caller }: KmsMacKey, claims: readonly ClaimedMac[]): Promise<boolean[]> {
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

/** The last field of a signed document. It covers the text of the fields before it. */
export const SignatureSchema = z.strictObject({
  /** ARN of the signing key, for messages only: a verifier uses the key that it trusts. */
  keyArn: z.string().check(z.regex(KMS_KEY_ARN)),
  /** In base64. */
  mac: z.string().check(z.regex(/^[A-Za-z0-9+/]{43}=$/)),
});

export type Signature = z.infer<typeof SignatureSchema>;

/**
 * Returns the message that is signed for a document. Long texts are hashed first: KMS takes at most 4,096
 * bytes.
 * @param head lines with the kind of the document and its place, each with a newline
 * @param text of the body, without the signature
 */
export function signedMessage(head: string, text: string): Buffer {
  const sha256 = createHash("sha256").update(text, "utf8").digest("hex");
  return Buffer.from(`${head}sha256 ${sha256}\n`, "utf8");
}

/** Signs a message with the key itself, in one call. @throws the errors of `key` */
export async function signatureBy(key: MacKey, message: Buffer, signal?: AbortSignal): Promise<Signature> {
  return { keyArn: key.arn, mac: (await key.mac(message, signal)).toString("base64") };
}

const SignedSchema = z.object({ signature: SignatureSchema });

/**
 * Returns the signature in a text. The text is not proven yet and may be anything.
 * @returns undefined without a signature of this form
 */
export function signatureOf(text: string): Signature | undefined {
  try {
    return signatureIn(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Returns the signature in a parsed body that is not proven yet. */
export function signatureIn(body: unknown): Signature | undefined {
  return SignedSchema.safeParse(body).data?.signature;
}

const SIGNATURE_AT_END = /,"signature":\{[^{}]*\}\}$/;

/** Returns the body's text as it was signed: without its last field, the signature. */
export function withoutSignature(text: string): string {
  return text.replace(SIGNATURE_AT_END, "}");
}
