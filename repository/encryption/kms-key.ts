import type { KeyObject } from "node:crypto";
import * as z from "zod/mini";
import { askKms, KMS_KEY_ARN, type KmsCaller } from "./ask-kms.js";
import { takeKey } from "./repository-key.js";

/**
 * A wrapping key from AWS KMS, which keeps no copy: it comes with its own ciphertext,
 * which only KMS can decrypt.
 */
export const KmsKeySchema = z.strictObject({
  kind: z.literal("kms"),
  /**
   * ARN of the KMS key. Anyone who can write to the repository can choose the value, and KMS is asked about
   * it. So only the ARN of a key is allowed.
   */
  keyArn: z.string().check(z.regex(KMS_KEY_ARN)),
  /** Ciphertext of the wrapping key, in base64. */
  ciphertext: z.string(),
});

export type KmsKey = z.infer<typeof KmsKeySchema>;

export interface KmsAccess extends KmsCaller {
  /**
   * UUID of the repository, for the encryption context, which CloudTrail shows and a key policy may require.
   */
  repository: string;
}

/** Creates a wrapping key in KMS. @throws KeyNotUsable, CredentialsInvalid, AwsUnavailable */
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
    // The ARN of the key itself, even if `arn` is that of an alias.
    const from = KmsKeySchema.parse({
      kind: "kms",
      keyArn: KeyId,
      ciphertext: Buffer.from(CiphertextBlob).toString("base64"),
    });
    return { from, wrapping: takeKey(Plaintext) };
  });
}

/** Decrypts a wrapping key with KMS. @throws KeyNotUsable, CredentialsInvalid, AwsUnavailable */
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
