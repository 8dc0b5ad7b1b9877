import type { KeyObject } from "node:crypto";
import type { KMSClient } from "@aws-sdk/client-kms";
import * as z from "zod/mini";
import {
  BlockferryError,
  type ErrorCode,
  throwIfInterrupted,
  withoutSecrets,
} from "../../foundation/errors.js";
import { Outage, retry } from "../../foundation/retry.js";
import { explainConnection } from "../storage/s3/connection-errors.js";
import { credentialsOf } from "../storage/s3/credentials.js";
import { RequestHandler } from "../storage/s3/request-handler.js";
import { ClockCorrection, isTransient } from "../storage/s3/transient-errors.js";
import { takeKey } from "./aes-gcm.js";

const PARTITION = "aws(?:-[a-z]+)*";
const REGION = "[a-z]{2,5}(?:-[a-z]+)+-\\d{1,2}";
const KEY = "key/(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})";
const ALIAS = "alias/[A-Za-z0-9/_-]{1,250}";

/**
 * The ARN of a key, or of an alias, without wildcards (AWS: "KMS key identifiers"). A multi-Region key has an
 * id of its own form.
 */
export const KMS_ARN = new RegExp(`^arn:(${PARTITION}):kms:(${REGION}):\\d{12}:(?:${KEY}|${ALIAS})$`);

/** The ARN of a key itself: an alias may later point to another key. */
export const KMS_KEY_ARN = new RegExp(`^arn:${PARTITION}:kms:${REGION}:\\d{12}:${KEY}$`);

/** The credentials and the signal of a request to KMS. */
export interface KmsCaller {
  /** Profile in the AWS configuration files. */
  profile: string | undefined;
  signal?: AbortSignal | undefined;
}

/** The default of the SDK is to wait forever, for example in a subnet without a route to KMS. */
const CONNECT_MS = 5000;
const SILENCE_MS = 30_000;

/** How often a request is sent while KMS or the network fails: callers decide about a longer wait. */
const TRIES = 3;
const OUTAGE_MS = 5 * 60_000;

type Sdk = typeof import("@aws-sdk/client-kms");

/**
 * Sends a request to KMS in the key's own Region. Loads the client on first use.
 * @param action for messages, for example `kms:Decrypt`
 * @throws KeyNotUsable, CredentialsInvalid, AwsUnavailable, Interrupted
 */
export async function askKms<T>(
  action: string,
  arn: string,
  { profile, signal }: KmsCaller,
  ask: (client: KMSClient, sdk: Sdk, options: { abortSignal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  const sdk = await import("@aws-sdk/client-kms");
  const region = KMS_ARN.exec(arn)?.[2];
  const requestHandler = new RequestHandler({ connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS });
  const client = new sdk.KMSClient({
    ...(region === undefined ? {} : { region }),
    ...credentialsOf(profile, requestHandler),
    maxAttempts: 1,
    requestHandler,
  });
  const outage = new Outage();
  const clock = new ClockCorrection();
  const delayMs = (error: unknown, failures: number) => {
    if (clock.allowsRetry(error)) return 0;
    return isTransient(error) && failures < TRIES ? outage.delayMs(failures, OUTAGE_MS) : undefined;
  };
  try {
    const options = signal === undefined ? {} : { abortSignal: signal };
    return await retry(() => ask(client, sdk, options), { delayMs, signal });
  } catch (error) {
    if (signal !== undefined) throwIfInterrupted(signal);
    throw kmsError(action, arn, error);
  } finally {
    client.destroy();
  }
}

const CREDENTIALS =
  /^(ExpiredToken(Exception)?|UnrecognizedClientException|InvalidClientTokenId|CredentialsProviderError|TokenProviderError|InvalidSignatureException|InvalidToken)$/;

function kmsError(action: string, arn: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  const reason = withoutSecrets(cause instanceof Error ? cause.message.replace(/\.$/, "") : String(cause));
  const message = `${action} with ${arn} failed: ${name}: ${reason}.`;
  const { code, remedy } = explainConnection(cause) ?? explain(name, action, arn, cause);
  return new BlockferryError({ code, message, remedy, object: arn });
}

function explain(
  name: string,
  action: string,
  arn: string,
  cause: unknown,
): { code: ErrorCode; remedy: string } {
  switch (name) {
    case "AccessDeniedException":
      return {
        code: "KeyNotUsable",
        remedy: `Allow ${action} on ${arn} for the role that the message names, both in the role's policy and in the key's policy or a grant.`,
      };
    case "DisabledException":
      return { code: "KeyNotUsable", remedy: `Enable the key: aws kms enable-key --key-id ${arn}` };
    case "KMSInvalidStateException":
      return {
        code: "KeyNotUsable",
        remedy: `Check its state: aws kms describe-key --key-id ${arn}. A key that is pending deletion can still be saved: aws kms cancel-key-deletion, then enable-key.`,
      };
    case "NotFoundException":
      return {
        code: "KeyNotUsable",
        remedy: "Check the ARN, its account and its Region. A key that was deleted cannot be brought back.",
      };
    case "InvalidCiphertextException":
    case "IncorrectKeyException":
      return {
        code: "KeyNotUsable",
        remedy: "This wrapped key was made for another repository or with another KMS key. Use another key.",
      };
  }
  if (CREDENTIALS.test(name)) {
    return {
      code: "CredentialsInvalid",
      remedy: "Get valid AWS credentials: log in again, or check the profile, the role and the environment.",
    };
  }
  const isNetwork = cause instanceof Error && "code" in cause && /^E[A-Z]+$/.test(String(cause.code));
  if (isNetwork || isTransient(cause)) {
    return {
      code: "AwsUnavailable",
      remedy:
        "The request was tried several times. Check the network and health.aws.amazon.com, then run it again.",
    };
  }
  return {
    code: "KeyNotUsable",
    remedy: `Fix the problem that AWS names above; see ${action} in the KMS API reference.`,
  };
}

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

type KmsKey = z.infer<typeof KmsKeySchema>;

interface KmsAccess extends KmsCaller {
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
    if (Plaintext === undefined || CiphertextBlob === undefined) throw new Error("KMS returned no key");
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
    if (Plaintext === undefined) throw new Error("KMS returned no key");
    return takeKey(Plaintext);
  });
}

function context({ repository }: KmsAccess): Record<string, string> {
  return { "blockferry:repository": repository };
}
