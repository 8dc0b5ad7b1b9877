import { EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { KMSClient } from "@aws-sdk/client-kms";
import { STSClient } from "@aws-sdk/client-sts";
import type { Access } from "../request.js";
import { timing } from "../timing.js";
import { type CredentialProvider, credentialsFor } from "./credentials.js";
import { Patience } from "./patience.js";

/**
 * The SDK's error when no Region is set.
 * The SDK treats an empty AWS_REGION as set.
 */
const NO_REGION = /^Region (is missing|not accepted: region="")/;

/** The SDK clients of one account. */
export class Clients {
  readonly patience = new Patience(timing().outageMs, () => this.renewCredentials());
  private readonly ec2ByRegion = new Map<string, EC2Client>();
  private readonly kmsByRegion = new Map<string, KMSClient>();
  private credentials: CredentialProvider;

  constructor(private readonly access: Access) {
    this.credentials = credentialsFor(access);
  }

  ec2(region: string): EC2Client {
    return remembered(this.ec2ByRegion, region, () => new EC2Client(this.config(region)));
  }

  kms(region: string): KMSClient {
    return remembered(this.kmsByRegion, region, () => new KMSClient(this.config(region)));
  }

  iam(region: string): IAMClient {
    return new IAMClient(this.config(region));
  }

  sts(region: string): STSClient {
    return new STSClient(this.config(region));
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
    this.credentials = credentialsFor(this.access);
    this.ec2ByRegion.clear();
    this.kmsByRegion.clear();
  }

  private config(region: string) {
    const { callMs } = timing();
    return {
      region,
      credentials: this.credentials,
      // Patience decides about retries; the SDK only slows down when AWS throttles.
      maxAttempts: 1,
      retryMode: "adaptive",
      // By default the SDK waits forever.
      requestHandler: { connectionTimeout: callMs, socketTimeout: callMs },
    } as const;
  }
}

function remembered<T>(clients: Map<string, T>, region: string, make: () => T): T {
  const client = clients.get(region) ?? make();
  clients.set(region, client);
  return client;
}
