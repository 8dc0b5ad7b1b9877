import type { Readable } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { maxObjectBytes } from "../../object-bounds.js";
import type { GetOptions } from "../storage.js";
import { objectTooLarge } from "../storage-errors.js";
import type { S3Bucket } from "./s3-bucket.js";
import { bodyLost } from "./transient.js";

/** A longer range is fetched in parallel pieces: one connection to S3 transfers about 100 MB/s. */
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;

/** Reads an object or a range of it. Requests a truncated body again. */
export async function readS3Object(s3: S3Bucket, key: string, { range, into }: GetOptions): Promise<Buffer> {
  if (range === undefined) return readWhole(s3, key);
  const buffer = into ?? Buffer.allocUnsafe(range.length);
  const pieces: Promise<number>[] = [];
  for (let at = 0; at < range.length; at += MAX_REQUEST_BYTES) {
    const length = Math.min(MAX_REQUEST_BYTES, range.length - at);
    const memory = buffer.subarray(at, at + length);
    pieces.push(readRange(s3, key, range.offset + at, memory));
  }
  const lengths = await Promise.all(pieces);
  return buffer.subarray(
    0,
    lengths.reduce((sum, length) => sum + length, 0),
  );
}

/**
 * Reads a whole object. Only the answer shows its size, so it is charged to the limit afterwards. To wait for
 * the limit then would leave the server with an answer that no one reads.
 */
function readWhole(s3: S3Bucket, key: string): Promise<Buffer> {
  const command = new GetObjectCommand(s3.object(key));
  return s3.request(
    async (client, abortable) => {
      const response = await client.send(command, abortable);
      const sizeBytes = response.ContentLength ?? 0;
      if (sizeBytes > maxObjectBytes(key)) {
        (response.Body as Readable).destroy();
        throw objectTooLarge(s3.name, key, sizeBytes);
      }
      const buffer = Buffer.allocUnsafe(sizeBytes);
      s3.charge(buffer.length);
      await fill(response, buffer);
      return buffer;
    },
    { bytes: 0 },
  );
}

/** Reads a range into a buffer. @returns the bytes read; fewer than requested at the end of the object */
async function readRange(s3: S3Bucket, key: string, offset: number, into: Buffer): Promise<number> {
  const command = new GetObjectCommand({
    ...s3.object(key),
    Range: `bytes=${offset}-${offset + into.length - 1}`,
  });
  try {
    return await s3.request(
      async (client, abortable) => readAnswer(await client.send(command, abortable), offset, into),
      { bytes: into.length },
    );
  } catch (error) {
    if (error instanceof Error && error.name === "InvalidRange") return 0;
    throw error;
  }
}

async function readAnswer(response: GetObjectCommandOutput, offset: number, into: Buffer): Promise<number> {
  const length = response.ContentLength ?? 0;
  if (!response.ContentRange?.startsWith(`bytes ${offset}-`) || length > into.length) {
    (response.Body as Readable).destroy();
    throw new Error(
      `the server answered a request for ${into.length} bytes at ${offset} with ${response.ContentRange ?? "the whole object"}`,
    );
  }
  await fill(response, into.subarray(0, length));
  return length;
}

/** Fills a buffer with the body of an answer. @throws BodyLost */
async function fill(response: GetObjectCommandOutput, into: Buffer): Promise<void> {
  let done = 0;
  try {
    for await (const bytes of response.Body as Readable) {
      if (done + bytes.length > into.length) throw new Error("it is longer than announced");
      done += (bytes as Buffer).copy(into, done);
    }
  } catch (error) {
    throw bodyLost(
      `the answer broke off after ${done} bytes: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (done < into.length) throw bodyLost(`the answer ended after ${done} of ${into.length} bytes`);
}
