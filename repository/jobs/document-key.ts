import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { MacKey } from "../encryption/mac-key.js";
import type { Signature } from "../signature.js";

/**
 * Signs the documents of one job. KMS derives the secret from a fixed message. This takes one KMS call for a
 * job, instead of one for each document. The secret stays in memory.
 */
export class DocumentKey {
  private constructor(
    /** ARN of the KMS key behind the secret. */
    readonly arn: string,
    private readonly secret: KeyObject,
  ) {}

  /** Returns the key for the journals of a job, derived from the job key. @throws the errors of `key` */
  static forJournals(
    key: MacKey,
    { repository, id }: { repository: string; id: string },
    signal?: AbortSignal,
  ): Promise<DocumentKey> {
    return DocumentKey.derive(key, `blockferry journal key 1\nrepository ${repository}\njob ${id}\n`, signal);
  }

  /**
   * Returns the key for the replies of a worker's agent. It is derived from the reply key.
   * @throws the errors of `key`
   */
  static forReplies(
    key: MacKey,
    { repository, id, worker }: { repository: string; id: string; worker: string },
    signal?: AbortSignal,
  ): Promise<DocumentKey> {
    const place = `repository ${repository}\njob ${id}\nworker ${worker}\n`;
    return DocumentKey.derive(key, `blockferry reply key 1\n${place}`, signal);
  }

  private static async derive(key: MacKey, message: string, signal?: AbortSignal): Promise<DocumentKey> {
    const bytes = await key.mac(Buffer.from(message, "utf8"), signal);
    const secret = createSecretKey(bytes);
    bytes.fill(0);
    return new DocumentKey(key.arn, secret);
  }

  sign(message: Buffer): Signature {
    return { keyArn: this.arn, mac: this.macOf(message).toString("base64") };
  }

  /** Returns whether this key made the signature. The key that the signature names does not matter. */
  hasSigned(message: Buffer, { mac }: Signature): boolean {
    const given = Buffer.from(mac, "base64");
    const expected = this.macOf(message);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  private macOf(message: Buffer): Buffer {
    return createHmac("sha256", this.secret).update(message).digest();
  }
}
