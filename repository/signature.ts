import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { KMS_KEY_ARN } from "./encryption/ask-kms.js";
import type { MacKey } from "./encryption/mac-key.js";

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
