import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { BUCKET } from "./s3-server.js";

/** Reads the bucket without blockferry's own code. */
export class S3Objects {
  readonly client: S3Client;

  constructor(
    endpointUrl: string,
    private readonly bucket = BUCKET,
  ) {
    this.client = new S3Client({ endpoint: endpointUrl, forcePathStyle: true });
  }

  async keys(prefix: string): Promise<string[]> {
    const command = new ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix });
    const { Contents = [] } = await this.client.send(command);
    return Contents.map(({ Key = "" }) => Key);
  }

  async uploads(prefix: string): Promise<string[]> {
    const { Uploads = [] } = await this.client.send(new ListMultipartUploadsCommand({ Bucket: this.bucket }));
    return Uploads.map(({ Key = "" }) => Key).filter((key) => key.startsWith(prefix));
  }

  async get(key: string): Promise<Buffer> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async put(key: string, body: Buffer): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body }));
  }

  /** Starts a multipart upload that is never completed. */
  async beginUpload(key: string): Promise<void> {
    await this.client.send(new CreateMultipartUploadCommand({ Bucket: this.bucket, Key: key }));
  }

  async remove(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }));
  }
}
