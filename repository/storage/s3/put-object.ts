import { PutObjectCommand, type StorageClass } from "@aws-sdk/client-s3";
import { crc32Base64 } from "./crc32-base64.js";
import type { S3Bucket } from "./s3-bucket.js";
import type { RequestOptions } from "./s3-connection.js";

interface PutFields {
  IfNoneMatch?: "*" | undefined;
  StorageClass?: StorageClass;
}

interface PutOptions extends Omit<RequestOptions, "bytes"> {
  /** The body's CRC-32, where it is known. */
  crc32?: number | undefined;
}

/** Stores an object in one request. It is not cut off where nobody asks for that: nobody could say then whether the object is stored. */
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
