import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import type { S3Bucket } from "./s3-bucket.js";

/** Removes an object; a missing object is not an error. */
export async function removeObject(s3: S3Bucket, key: string): Promise<void> {
  const command = new DeleteObjectCommand(s3.object(key));
  await s3.send(command);
}
