import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Upload } from "../storage.js";
import { crc32Base64 } from "./crc32-base64.js";
import type { S3Bucket } from "./s3-bucket.js";
import { retryTransient } from "./transient.js";

/** Nobody is kept waiting longer than this for an upload to be removed from a server that does not answer. */
const CLEAN_UP_MS = 10_000;

/**
 * A multipart upload whose parts are sent as they come. It begins with the first part: what fits into one request is put as
 * a whole.
 */
export class S3Upload implements Upload {
  private readonly parts: Promise<CompletedPart>[] = [];
  private readonly cancelled = new AbortController();
  private begun: Promise<string> | undefined;
  private sizeBytes = 0;

  constructor(
    private readonly s3: S3Bucket,
    private readonly key: string,
  ) {}

  async write(part: Buffer, crc32?: number): Promise<void> {
    try {
      await this.addPart(part, crc32);
    } catch (error) {
      throw this.s3.explain(this.key, error);
    }
  }

  async finish(tail: Buffer, crc32?: number): Promise<void> {
    try {
      if (this.begun === undefined) return await this.putWhole(tail, crc32);
      if (tail.length > 0) this.addPart(tail, crc32).catch(() => undefined);
      await this.complete(await this.begun, await Promise.all(this.parts));
    } catch (error) {
      throw this.s3.explain(this.key, error);
    }
  }

  /** Never fails, so as not to hide why the upload is given up; what cannot be removed now is stale later. */
  async abort(): Promise<void> {
    this.cancelled.abort();
    await Promise.allSettled(this.parts);
    try {
      if (this.begun === undefined) return;
      const command = new AbortMultipartUploadCommand({
        ...this.s3.object(this.key),
        UploadId: await this.begun,
      });
      await this.s3.client.send(command, { abortSignal: AbortSignal.timeout(CLEAN_UP_MS) });
    } catch {
      // Nothing more can be done here.
    }
  }

  private addPart(part: Buffer, crc32: number | undefined): Promise<CompletedPart> {
    this.begun ??= this.begin();
    this.sizeBytes += part.length;
    const sent = this.sendPart(this.begun, this.parts.length + 1, part, crc32);
    this.parts.push(sent);
    return sent;
  }

  /** Not cancelled by `abort`, which could not remove an upload whose id is lost. */
  private async begin(): Promise<string> {
    const { UploadId } = await this.s3.client.send(
      new CreateMultipartUploadCommand({
        ...this.s3.object(this.key),
        ...this.s3.encryption,
        ...this.s3.storageClass,
        ChecksumAlgorithm: "CRC32",
      }),
    );
    if (UploadId === undefined) throw new Error("the server began an upload without an id");
    return UploadId;
  }

  private async sendPart(
    begun: Promise<string>,
    number: number,
    body: Buffer,
    crc32: number | undefined,
  ): Promise<CompletedPart> {
    const { signal } = this.cancelled;
    const uploadId = await begun;
    const checksum = crc32Base64(body, crc32);
    return retryTransient(async () => {
      await this.s3.limit?.take(body.length, signal);
      const command = new UploadPartCommand({
        ...this.s3.object(this.key),
        UploadId: uploadId,
        PartNumber: number,
        Body: body,
        ContentLength: body.length,
        ChecksumCRC32: checksum,
      });
      const { ETag, ChecksumCRC32 } = await this.s3.client.send(command, { abortSignal: signal });
      if (ChecksumCRC32 !== undefined && ChecksumCRC32 !== checksum) throw checksumMismatch();
      return { PartNumber: number, ETag, ChecksumCRC32: checksum };
    }, signal);
  }

  private async complete(uploadId: string, parts: CompletedPart[]): Promise<void> {
    const command = new CompleteMultipartUploadCommand({
      ...this.s3.object(this.key),
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
    });
    try {
      await retryTransient(() => this.s3.client.send(command));
    } catch (error) {
      if (!(error instanceof Error && error.name === "NoSuchUpload")) throw error;
      if (!(await this.isStored())) throw error;
    }
  }

  /** Whether the object is there: the answer to a completion that did its work may have been lost. */
  private async isStored(): Promise<boolean> {
    try {
      const { ContentLength } = await this.s3.client.send(new HeadObjectCommand(this.s3.object(this.key)));
      return ContentLength === this.sizeBytes;
    } catch (error) {
      if (error instanceof Error && error.name === "NotFound") return false;
      throw error;
    }
  }

  private async putWhole(body: Buffer, crc32: number | undefined): Promise<void> {
    const { signal } = this.cancelled;
    await retryTransient(async () => {
      await this.s3.limit?.take(body.length, signal);
      const command = new PutObjectCommand({
        ...this.s3.object(this.key),
        ...this.s3.encryption,
        ...this.s3.storageClass,
        Body: body,
        ContentLength: body.length,
        ChecksumCRC32: crc32Base64(body, crc32),
      });
      await this.s3.client.send(command, { abortSignal: signal });
    }, signal);
  }
}

function checksumMismatch(): Error {
  const error = new Error("the server received other bytes than were sent");
  error.name = "ChecksumMismatch";
  return error;
}
