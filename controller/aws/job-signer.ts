import { DescribeKeyCommand, GenerateMacCommand, type KMSClient } from "@aws-sdk/client-kms";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { KmsCaller } from "../../repository/encryption/ask-kms.js";
import {
  type JobSignature,
  MAC_ALGORITHM,
  type JobSigner as Signer,
  UNSIGNED,
} from "../../repository/jobs/job-signature.js";
import { awsError } from "./aws-errors.js";
import { Clients } from "./clients.js";

/** AWS: "HMAC keys in AWS KMS"; each spec has one algorithm. */
const KEY_SPEC = "HMAC_256";
/** No job begins so. */
const PROBE = Buffer.from("blockferry check\n", "utf8");

/** Who signs the jobs of a controller: itself, whichever roles it takes on for the rest. */
export interface JobSigner extends Signer {
  /** Whether it could sign, and with a key that is for this. @throws KeyNotUsable; the errors of aws-errors.ts */
  check(): Promise<void>;
}

const SIGNS_NOTHING: JobSigner = { ...UNSIGNED, check: async () => undefined };

/** @param keyArn undefined where jobs are not signed @param caller whose signal ends the check */
export function jobSigner(keyArn: string | undefined, caller: KmsCaller): JobSigner {
  return keyArn === undefined ? SIGNS_NOTHING : new KmsJobSigner(keyArn, caller);
}

class KmsJobSigner implements JobSigner {
  private readonly region: string;
  private readonly principal: string;
  private readonly clients: Clients;

  constructor(
    private readonly keyArn: string,
    private readonly caller: KmsCaller,
  ) {
    const { profile } = caller;
    this.region = keyArn.split(":")[3] ?? "";
    this.principal = profile === undefined ? "the credentials of the environment" : `profile ${profile}`;
    const access = { profile: profile ?? null, roleArn: null, externalId: null, region: this.region };
    this.clients = new Clients(access);
  }

  async sign(message: Buffer, signal?: AbortSignal): Promise<JobSignature> {
    const request = { KeyId: this.keyArn, Message: message, MacAlgorithm: MAC_ALGORITHM } as const;
    const { Mac } = await this.ask(
      "kms:GenerateMac",
      (kms, options) => kms.send(new GenerateMacCommand(request), options),
      signal,
    );
    if (Mac === undefined) throw new Error("KMS gave no MAC");
    return { keyArn: this.keyArn, mac: Buffer.from(Mac).toString("base64") };
  }

  async check(): Promise<void> {
    const { signal } = this.caller;
    const { KeyMetadata: { KeyUsage, KeySpec, KeyState } = {} } = await this.ask(
      "kms:DescribeKey",
      (kms, options) => kms.send(new DescribeKeyCommand({ KeyId: this.keyArn }), options),
      signal,
    );
    if (KeyUsage !== "GENERATE_VERIFY_MAC" || KeySpec !== KEY_SPEC) {
      throw wrongKind(this.keyArn, `${KeySpec}, for ${KeyUsage}`);
    }
    if (KeyState !== "Enabled") throw notEnabled(this.keyArn, KeyState);
    await this.sign(PROBE, signal);
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
      throw awsError({ action, principal: this.principal, object: this.keyArn }, error);
    }
  }
}

function wrongKind(arn: string, kind: string): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Jobs cannot be signed with ${arn}: it is ${kind}.`,
    remedy: `Make one that is for it: aws kms create-key --key-usage GENERATE_VERIFY_MAC --key-spec ${KEY_SPEC}`,
    object: arn,
  });
}

function notEnabled(arn: string, state: string | undefined): BlockferryError {
  return new BlockferryError({
    code: "KeyNotUsable",
    message: `Jobs cannot be signed with ${arn}: it is ${state}.`,
    remedy: "Enable it (aws kms enable-key), or cancel its deletion first; or name another key.",
    object: arn,
  });
}
