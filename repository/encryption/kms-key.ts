import type { KeyObject } from "node:crypto";
import * as z from "zod/mini";
import { askKms, type KmsCaller } from "./ask-kms.js";
import { takeKey } from "./repository-key.js";

/** A wrapping key that AWS KMS made and keeps nothing of: it comes with its own ciphertext, which KMS alone can decrypt. */
export const KmsKeySchema = z.strictObject({
  kind: z.literal("kms"),
  /** ARN of the KMS key. */
  keyArn: z.string(),
  /** Ciphertext of the wrapping key, in base64. */
  ciphertext: z.string(),
});

export type KmsKey = z.infer<typeof KmsKeySchema>;

export interface KmsAccess extends KmsCaller {
  /** UUID of the repository: it goes into the encryption context, which CloudTrail shows and a key's policy may demand. */
  repository: string;
}

/** Has KMS make a wrapping key. @throws KeyNotUsable, CredentialsInvalid, AwsUnavailable */
export async function newKmsKey(
  arn: string,
  access: KmsAccess,
): Promise<{ from: KmsKey; wrapping: KeyObject }> {
  return askKms("kms:GenerateDataKey", arn, access, async (client, sdk, options) => {
    const { Plaintext, CiphertextBlob, KeyId } = await client.send(
      new sdk.GenerateDataKeyCommand({ KeyId: arn, KeySpec: "AES_256", EncryptionContext: context(access) }),
      options,
    );
    if (Plaintext === undefined || CiphertextBlob === undefined) throw new Error("KMS gave no key");
    const ciphertext = Buffer.from(CiphertextBlob).toString("base64");
    return { from: { kind: "kms", keyArn: KeyId ?? arn, ciphertext }, wrapping: takeKey(Plaintext) };
  });
}

/** Has KMS decrypt a wrapping key. @throws KeyNotUsable, CredentialsInvalid, AwsUnavailable */
export async function openKmsKey({ keyArn, ciphertext }: KmsKey, access: KmsAccess): Promise<KeyObject> {
  return askKms("kms:Decrypt", keyArn, access, async (client, sdk, options) => {
    const { Plaintext } = await client.send(
      new sdk.DecryptCommand({
        KeyId: keyArn,
        CiphertextBlob: Buffer.from(ciphertext, "base64"),
        EncryptionContext: context(access),
      }),
      options,
    );
    if (Plaintext === undefined) throw new Error("KMS gave no key");
    return takeKey(Plaintext);
  });
}

function context({ repository }: KmsAccess): Record<string, string> {
  return { "blockferry:repository": repository };
}
