import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { KMS_KEY_ARN } from "../encryption/ask-kms.js";

/** What KMS computes the MAC with; keys of the spec HMAC_256 can do this, and nothing else. */
export const MAC_ALGORITHM = "HMAC_SHA_256";

export const JobSignatureSchema = z.strictObject({
  /** ARN of the key that made it, for messages alone: whoever verifies takes the key that they trust. */
  keyArn: z.string().check(z.regex(KMS_KEY_ARN)),
  /** In base64. */
  mac: z.string().check(z.regex(/^[A-Za-z0-9+/]{43}=$/)),
});

export type JobSignature = z.infer<typeof JobSignatureSchema>;

/** Signs what a job is, with a key that workers can only verify with. */
export interface JobSigner {
  /** @param message of 4,096 bytes at most, as KMS takes them @returns undefined where jobs are not signed */
  sign(message: Buffer, signal?: AbortSignal): Promise<JobSignature | undefined>;
}

export const UNSIGNED: JobSigner = { sign: async () => undefined };

/** Where a job belongs. */
export interface JobPlace {
  /** UUID of the repository. */
  repository: string;
  id: string;
  /** Instance id. */
  worker: string;
}

/**
 * What is signed: the job, and where it belongs. The verifier says where it found the job, not what the job claims.
 * @param text of the body, without the signature
 */
export function jobMessage({ repository, id, worker }: JobPlace, text: string): Buffer {
  const digest = createHash("sha256").update(text, "utf8").digest("hex");
  return Buffer.from(
    `blockferry job 1\nrepository ${repository}\njob ${id}\nworker ${worker}\nsha256 ${digest}\n`,
    "utf8",
  );
}

const SignedSchema = z.object({ signature: JobSignatureSchema });

/** Of a text that is to be proven yet, so it may be anything. @returns undefined where it bears no signature of this form */
export function signatureOf(text: string): JobSignature | undefined {
  try {
    return SignedSchema.parse(JSON.parse(text)).signature;
  } catch {
    return undefined;
  }
}

const SIGNATURE_AT_END = /,"signature":\{[^{}]*\}\}$/;

/** The body's text as it was signed: its last field, the signature, taken away. */
export function withoutSignature(text: string): string {
  return text.replace(SIGNATURE_AT_END, "}");
}
