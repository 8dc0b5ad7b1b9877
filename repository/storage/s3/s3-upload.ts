import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Upload } from "../storage.js";
import { objectExists } from "../storage-errors.js";
import type { S3Bucket } from "./s3-bucket.js";
import { crc32Base64, GivingUp, isPreconditionFailed, putNewObject, removeObject } from "./s3-requests.js";
import { abortUpload, recordIfUnlisted } from "./s3-unfinished-uploads.js";
import { statusOf } from "./transient-errors.js";

/**
 * A multipart upload that sends parts as they come. It starts with the first part: an object that fits into
 * one request is put as a whole.
 */
export class S3Upload implements Upload {
  private readonly parts: Promise<CompletedPart>[] = [];
  private readonly givingUp = new GivingUp();
  /** Stops waiting, and aborts parts on their way. */
  private readonly signal: AbortSignal;
  private started: Promise<string> | undefined;
  private completed: Promise<void> | undefined;
  private sizeBytes = 0;
  /** Key of the upload's record, on a server that does not list uploads. */
  private record: string | undefined;

  constructor(
    private readonly s3: S3Bucket,
    private readonly key: string,
  ) {
    const { started } = this.givingUp;
    this.signal = s3.signal === undefined ? started : AbortSignal.any([started, s3.signal]);
  }

  async write(part: Buffer, crc32?: number): Promise<void> {
    try {
      await this.addPart(part, crc32);
    } catch (error) {
      throw this.s3.explain(this.key, error);
    }
  }

  async finish(tail: Buffer, crc32?: number): Promise<void> {
    try {
      if (this.started === undefined) return await this.putWhole(tail, crc32);
      if (tail.length > 0) this.addPart(tail, crc32).catch(() => undefined);
      const parts = await Promise.all(this.parts);
      this.completed = this.complete(await this.started, parts);
      await this.completed;
      // A record that stays is removed by a later run.
      if (this.record !== undefined) await removeObject(this.s3, this.record).catch(() => undefined);
    } catch (error) {
      throw this.s3.explain(this.key, error);
    }
  }

  /**
   * Aborts the upload. Never throws, so that it does not hide the original error; anything that stays is
   * stale later.
   */
  async abort(): Promise<void> {
    this.givingUp.begin();
    await Promise.allSettled([...this.parts, this.started, this.completed]);
    try {
      if (this.started === undefined) return;
      const uploadId = await this.started;
      await abortUpload(this.s3.until(this.givingUp.over), { key: this.key, uploadId, record: this.record });
    } catch {
      // Nothing more can be done here.
    }
  }

  private addPart(part: Buffer, crc32: number | undefined): Promise<CompletedPart> {
    this.started ??= this.begin();
    this.sizeBytes += part.length;
    const sent = this.sendPart(this.started, this.parts.length + 1, part, crc32);
    this.parts.push(sent);
    return sent;
  }

  private async begin(): Promise<string> {
    const command = new CreateMultipartUploadCommand({
      ...this.s3.object(this.key),
      ...this.s3.encryption,
      ...this.s3.storageClass,
      ChecksumAlgorithm: "CRC32",
    });
    const { UploadId } = await this.s3.send(command, this.unhurried);
    if (UploadId === undefined) throw new Error("the server started an upload without an id");
    this.record = await recordIfUnlisted(this.s3, this.key, UploadId);
    return UploadId;
  }

  private async sendPart(
    started: Promise<string>,
    number: number,
    body: Buffer,
    crc32: number | undefined,
  ): Promise<CompletedPart> {
    const checksum = crc32Base64(body, crc32);
    const command = new UploadPartCommand({
      ...this.s3.object(this.key),
      UploadId: await started,
      PartNumber: number,
      Body: body,
      ContentLength: body.length,
      ChecksumCRC32: checksum,
    });
    return this.s3.request(
      async (client, abortable) => {
        const { ETag, ChecksumCRC32 } = await client.send(command, abortable);
        if (ChecksumCRC32 !== undefined && ChecksumCRC32 !== checksum) throw checksumMismatch();
        return { PartNumber: number, ETag, ChecksumCRC32: checksum };
      },
      { bytes: body.length, signal: this.signal },
    );
  }

  private async complete(uploadId: string, parts: CompletedPart[]): Promise<void> {
    const onlyNew = this.s3.server.completesOnlyNew;
    const command = new CompleteMultipartUploadCommand({
      ...this.s3.object(this.key),
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
      ...(onlyNew ? { IfNoneMatch: "*" } : {}),
    });
    let tries = 0;
    try {
      await this.s3.request((client, abortable) => {
        tries += 1;
        return client.send(command, abortable);
      }, this.unhurried);
    } catch (error) {
      if (onlyNew && isNotImplemented(error)) {
        this.s3.server.completesOnlyNew = false;
        return this.complete(uploadId, parts);
      }
      await this.refuseUnlessStored(error, tries);
    }
  }

  /**
   * Throws unless a failed completion has stored the object. The answer to a successful completion may have
   * been lost; the retry then meets its own object.
   * An object that the first try meets belongs to another run.
   */
  private async refuseUnlessStored(error: unknown, tries: number): Promise<void> {
    const isTaken = isPreconditionFailed(error);
    if (isTaken && tries === 1) throw objectExists(this.s3.name, this.key, error);
    const mayBeStored = isTaken || (error instanceof Error && error.name === "NoSuchUpload");
    if (!mayBeStored || !(await this.isStored())) throw error;
  }

  /** Returns whether an object of the upload's size exists. */
  private async isStored(): Promise<boolean> {
    const command = new HeadObjectCommand(this.s3.object(this.key));
    try {
      const { ContentLength } = await this.s3.send(command, this.unhurried);
      return ContentLength === this.sizeBytes;
    } catch (error) {
      if (error instanceof Error && error.name === "NotFound") return false;
      throw error;
    }
  }

  private async putWhole(body: Buffer, crc32: number | undefined): Promise<void> {
    const options = { crc32, signal: this.signal, cutOff: this.signal };
    await putNewObject(this.s3, this.key, body, this.s3.storageClass, options);
  }

  /**
   * Options for requests that are not aborted at once: an upload whose id is lost cannot be removed, and a
   * nearly stored pack is kept.
   */
  private get unhurried() {
    return { signal: this.signal, cutOff: this.givingUp.over };
  }
}

/**
 * Recognizes servers that accept `If-None-Match` for PutObject, but not when an upload in parts is completed.
 */
function isNotImplemented(error: unknown): boolean {
  return error instanceof Error && (error.name === "NotImplemented" || statusOf(error) === 501);
}

function checksumMismatch(): Error {
  const error = new Error("the server received bytes that differ from the sent ones");
  error.name = "ChecksumMismatch";
  return error;
}
