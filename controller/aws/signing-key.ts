import { DescribeKeyCommand, GenerateMacCommand, type KMSClient } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { KmsCaller } from "../../repository/encryption/ask-kms.js";
import { MAC_ALGORITHM, type MacKey } from "../../repository/encryption/mac-key.js";
import { expectationOf } from "../../repository/expectation.js";
import type { Repository } from "../../repository/repository.js";
import { Signing, type SigningKeys } from "../signing.js";
import { awsError } from "./aws-errors.js";
import { Clients } from "./clients.js";

/** AWS: "HMAC keys in AWS KMS"; each spec has one algorithm. */
const KEY_SPEC = "HMAC_256";
/** No signed document starts with this text. */
const PROBE = Buffer.from("blockferry check\n", "utf8");

/** A KMS key that the controller uses with its own credentials, not with the roles of the parties. */
class SigningKey implements MacKey {
  private readonly region: string;
  private readonly principal: string;
  private readonly clients: Clients;

  /** @param caller profile of the credentials, and the signal that aborts the check */
  constructor(
    readonly arn: string,
    private readonly caller: KmsCaller,
  ) {
    const { profile } = caller;
    this.region = arn.split(":")[3] ?? "";
    this.principal = profile === undefined ? "the credentials of the environment" : `profile ${profile}`;
    const access = { profile: profile ?? null, roleArn: null, externalId: null, region: this.region };
    this.clients = new Clients(access);
  }

  /**
   * Returns the MAC of a message.
   * @throws the errors of aws-errors.ts
   */
  async mac(message: Buffer, signal?: AbortSignal): Promise<Buffer> {
    const request = { KeyId: this.arn, Message: message, MacAlgorithm: MAC_ALGORITHM } as const;
    const { Mac } = await this.ask(
      "kms:GenerateMac",
      (kms, options) => kms.send(new GenerateMacCommand(request), options),
      signal,
    );
    if (Mac === undefined) throw new Error("KMS gave no MAC");
    return Buffer.from(Mac);
  }

  /**
   * Checks that the key exists, can sign and has the right usage.
   * @throws KeyNotUsable; the errors of aws-errors.ts
   */
  async check(): Promise<void> {
    const { signal } = this.caller;
    const { KeyMetadata: { KeyUsage, KeySpec, KeyState } = {} } = await this.ask(
      "kms:DescribeKey",
      (kms, options) => kms.send(new DescribeKeyCommand({ KeyId: this.arn }), options),
      signal,
    );
    if (KeyUsage !== "GENERATE_VERIFY_MAC" || KeySpec !== KEY_SPEC) {
      throw wrongKind(this.arn, `${KeySpec}, for ${KeyUsage}`);
    }
    if (KeyState !== "Enabled") throw notEnabled(this.arn, KeyState);
    await this.mac(PROBE, signal);
  }

  private async ask<T>(
    action: string,
    send: (kms: KMSClient, options: { abortSignal?: AbortSignal }) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const options = signal === undefined ? {} : { abortSignal: signal };
    const call = () => send(this.clients.kms(this.region), options);
    try {
      return await this.clients.patience.keepTrying(`kms.${this.region}`, call, signal);
    } catch (error) {
      throw awsError({ action, principal: this.principal, object: this.arn }, error);
    }
  }
}

/**
 * Returns the signing of the controller for an open repository.
 * @param caller the credentials that reach the repository
 */
export function openSigning(
  { config }: Pick<Repository, "config">,
  { jobKey, replyKey }: SigningKeys,
  caller: KmsCaller,
): Signing {
  const key = (arn: string | undefined) => (arn === undefined ? undefined : new SigningKey(arn, caller));
  return new Signing(expectationOf(config), key(jobKey), key(replyKey));
}

function wrongKind(arn: string, kind: string): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Nothing can be signed with ${arn}: it is ${kind}.`,
    remedy: `Make a key for signing: aws kms create-key --key-usage GENERATE_VERIFY_MAC --key-spec ${KEY_SPEC}`,
    object: arn,
  });
}

function notEnabled(arn: string, state: string | undefined): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Nothing can be signed with ${arn}: it is ${state}.`,
    remedy: "Enable it (aws kms enable-key), or cancel its deletion first; or name another key.",
    object: arn,
  });
}
