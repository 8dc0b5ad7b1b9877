import { EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client } from "@aws-sdk/client-s3";
import { STSClient } from "@aws-sdk/client-sts";
import { REGION } from "./lab-environment.js";
import type { LabAccount } from "./lab-server.js";

/** The AWS clients of one account in one Region. They do not retry, so tests see every answer of the lab. */
export class Party {
  readonly accountId: string;
  readonly ec2: EC2Client;
  readonly iam: IAMClient;
  readonly kms: KMSClient;
  readonly s3: S3Client;
  readonly sts: STSClient;

  constructor(
    private readonly endpoint: string,
    private readonly account: LabAccount,
    readonly region = REGION,
  ) {
    const { accountId, accessKeyId, secretAccessKey } = account;
    const credentials = { accessKeyId, secretAccessKey };
    const options = { endpoint, region, credentials, maxAttempts: 1 };
    this.accountId = accountId;
    this.ec2 = new EC2Client(options);
    this.iam = new IAMClient(options);
    this.kms = new KMSClient(options);
    this.s3 = new S3Client(options);
    this.sts = new STSClient(options);
  }

  in(region: string): Party {
    return new Party(this.endpoint, this.account, region);
  }
}
