import { EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { KMSClient } from "@aws-sdk/client-kms";
import { STSClient } from "@aws-sdk/client-sts";
import { fromIni, fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import * as z from "zod/mini";
import { Outage, retry } from "../../foundation/retry.js";
import { ProxyRefused } from "../../repository/storage/s3/connection-errors.js";
import { RequestHandler } from "../../repository/storage/s3/request-handler.js";
import { ClockCorrection, statusOf } from "../../repository/storage/s3/transient-errors.js";
import { haveExpired, isRetried } from "./aws-errors.js";
import { timing } from "./poll.js";

/**
 * The SDK's error when no Region is set.
 * The SDK treats an empty AWS_REGION as set.
 */
const NO_REGION = /^Region (is missing|not accepted: region="")/;

/** The SDK clients of one account. */
export class Clients {
  readonly patience = new Patience(timing().outageMs, () => this.renewCredentials());
  // A client remembers by how much the server's clock differs.
  private readonly ec2ByRegion = new Map<string, EC2Client>();
  private readonly iamByRegion = new Map<string, IAMClient>();
  private readonly kmsByRegion = new Map<string, KMSClient>();
  private readonly stsByRegion = new Map<string, STSClient>();
  private credentials: CredentialProvider;
  private readonly requestHandler: RequestHandler;

  constructor(private readonly access: Access) {
    const { callMs } = timing();
    this.requestHandler = new RequestHandler({ connectionTimeout: callMs, socketTimeout: callMs });
    this.credentials = credentialsFor(access, this.requestHandler);
  }

  ec2(region: string): EC2Client {
    return remembered(this.ec2ByRegion, region, () => new EC2Client(this.config(region)));
  }

  kms(region: string): KMSClient {
    return remembered(this.kmsByRegion, region, () => new KMSClient(this.config(region)));
  }

  iam(region: string): IAMClient {
    return remembered(this.iamByRegion, region, () => new IAMClient(this.config(region)));
  }

  sts(region: string): STSClient {
    return remembered(this.stsByRegion, region, () => new STSClient(this.config(region)));
  }

  /**
   * Returns the Region of the command line, the environment or the profile, as the SDK resolves it.
   * Undefined when none of them sets a Region.
   */
  async defaultRegion(): Promise<string | undefined> {
    if (this.access.region !== null) return this.access.region;
    const { profile } = this.access;
    try {
      return await new STSClient(profile === null ? {} : { profile }).config.region();
    } catch (error) {
      if (error instanceof Error && NO_REGION.test(error.message)) return undefined;
      throw error;
    }
  }

  /**
   * Loads the credentials again. A client keeps credentials without an expiry forever, even if their profile
   * changes.
   */
  private renewCredentials(): void {
    this.credentials = credentialsFor(this.access, this.requestHandler);
    for (const clients of [this.ec2ByRegion, this.iamByRegion, this.kmsByRegion, this.stsByRegion])
      clients.clear();
  }

  private config(region: string) {
    return {
      region,
      credentials: this.credentials,
      // Patience decides about retries; the SDK only slows down when AWS throttles.
      maxAttempts: 1,
      retryMode: "adaptive",
      requestHandler: this.requestHandler,
    } as const;
  }
}

function remembered<T>(clients: Map<string, T>, region: string, make: () => T): T {
  const client = clients.get(region) ?? make();
  clients.set(region, client);
  return client;
}

const SESSION_NAME = "blockferry";
const DEFAULT_REGION = "us-east-1";

type CredentialProvider = ReturnType<typeof fromNodeProviderChain>;

/**
 * Returns the credentials of a party.
 * With a role: its session, assumed with the profile or the environment. Without: the profile, else the
 * environment.
 */
function credentialsFor(
  { profile, roleArn, externalId, region }: Access,
  requestHandler: RequestHandler,
): CredentialProvider {
  const options = { ignoreCache: true, clientConfig: { requestHandler } };
  const own = profile === null ? fromNodeProviderChain(options) : fromIni({ profile, ...options });
  if (roleArn === null) return own;
  return fromTemporaryCredentials({
    masterCredentials: own,
    clientConfig: { region: region ?? process.env.AWS_REGION ?? DEFAULT_REGION, requestHandler },
    params: {
      RoleArn: roleArn,
      RoleSessionName: SESSION_NAME,
      ...(externalId === null ? {} : { ExternalId: externalId }),
    },
  });
}

/**
 * Timeout for an endpoint that has never answered.
 * A mistyped Region has no endpoint to wait for.
 */
const FIRST_CONTACT_MS = 10_000;

/**
 * Retries an account's calls while the network, AWS or the credentials fail.
 * All calls of the account share one clock, so an outage is waited out once, and not again by every later
 * call.
 */
export class Patience {
  private readonly answered = new Set<string>();
  private readonly outage = new Outage();

  /**
   * @param outageMs how long calls may fail without interruption
   * @param renewCredentials called before a retry when the credentials have expired
   */
  constructor(
    private readonly outageMs: number,
    private readonly renewCredentials: () => void,
  ) {}

  /**
   * Repeats a call while its errors are transient.
   * @param endpoint the service and Region of the call
   * @throws the last error; the signal's reason soon after it aborts
   */
  async keepTrying<T>(endpoint: string, send: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const call = async () => {
      const answer = await send();
      this.hear(endpoint);
      return answer;
    };
    const clock = new ClockCorrection();
    const delayMs = (error: unknown, failures: number) => {
      signal?.throwIfAborted();
      // Before the question of expired credentials: RequestExpired means either.
      if (clock.allowsRetry(error)) return 0;
      if (!isRetried(error)) {
        this.hear(endpoint);
        return undefined;
      }
      const waitMs = this.outage.delayMs(failures, this.limitMs(endpoint, error));
      if (waitMs !== undefined && haveExpired(error)) this.renewCredentials();
      return waitMs;
    };
    return retry(call, { delayMs, signal });
  }

  private hear(endpoint: string): void {
    this.answered.add(endpoint);
    this.outage.end();
  }

  private limitMs(endpoint: string, error: unknown): number {
    // Credentials that were never valid are not waited for.
    if (haveExpired(error)) return this.answered.size > 0 ? this.outageMs : 0;
    const isAnswer =
      error instanceof Error && statusOf(error) !== undefined && !(error instanceof ProxyRefused);
    const isThere = this.answered.has(endpoint) || isAnswer;
    return isThere ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}

/**
 * How to reach the AWS account of one party. Credentials are never kept.
 * In a journal these are claims: `resume` and `cleanup` show them, but use the options of their own command
 * line.
 */
export const AccessSchema = z.strictObject({
  profile: z.nullable(z.string()),
  roleArn: z.nullable(z.string()),
  externalId: z.nullable(z.string()),
  region: z.nullable(z.string()),
});
export type Access = z.infer<typeof AccessSchema>;
