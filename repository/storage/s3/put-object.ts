import { PutObjectCommand, type StorageClass } from "@aws-sdk/client-s3";
import { objectExists } from "../storage-errors.js";
import { crc32Base64 } from "./crc32-base64.js";
import type { S3Bucket } from "./s3-bucket.js";
import type { RequestOptions } from "./s3-connection.js";
import { readS3Object } from "./s3-read.js";

interface PutFields {
  IfNoneMatch?: "*" | undefined;
  StorageClass?: StorageClass;
}

interface PutOptions extends Omit<RequestOptions, "bytes"> {
  /** The body's CRC-32, if it is known. */
  crc32?: number | undefined;
}

/**
 * Stores an object in one request. Aborts it only if the caller asks for that: afterwards it is unknown
 * whether the object is stored.
 */
export async function putObject(
  s3: S3Bucket,
  key: string,
  body: Uint8Array,
  fields: PutFields = {},
  { crc32, ...options }: PutOptions = {},
): Promise<void> {
  const command = new PutObjectCommand({
    ...s3.object(key),
    ...s3.encryption,
    ...fields,
    Body: body,
    ContentLength: body.length,
    ChecksumCRC32: crc32Base64(body, crc32),
  });
  await s3.send(command, {
    cutOff: "never",
    ...options,
    bytes: body.length,
  });
}

/** Stores an object under a new name. @throws ObjectExists when there is another */
export async function putNewObject(
  s3: S3Bucket,
  key: string,
  body: Uint8Array,
  fields: Omit<PutFields, "IfNoneMatch"> = {},
  options: PutOptions = {},
): Promise<void> {
  try {
    await putObject(s3, key, body, { ...fields, IfNoneMatch: "*" }, options);
  } catch (error) {
    if (!isPreconditionFailed(error)) throw error;
    if (!(await holds(s3, key, body))) throw objectExists(s3.name, key, error);
  }
}

/** Returns whether the server refused a request because of `If-None-Match`. */
export function isPreconditionFailed(error: unknown): boolean {
  return error instanceof Error && error.name === "PreconditionFailed";
}

/**
 * Returns whether the object has this body. A put whose answer was lost finds its own object when it is
 * retried: every such object contains a random id.
 */
async function holds(s3: S3Bucket, key: string, body: Uint8Array): Promise<boolean> {
  const range = { offset: 0, length: body.length + 1 };
  return (await readS3Object(s3, key, { range })).equals(body);
}
