import { ListMultipartUploadsCommand, type MultipartUpload } from "@aws-sdk/client-s3";
import type { S3Bucket } from "./s3-bucket.js";

/** Returns all multipart uploads of this repository that are neither completed nor aborted. */
export async function listMultipartUploads(s3: S3Bucket): Promise<MultipartUpload[]> {
  const uploads: MultipartUpload[] = [];
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({ ...s3.prefix("packs/"), ...marker });
    const page = await s3.send(command);
    uploads.push(...(page.Uploads ?? []));
    if (!page.IsTruncated) return uploads;
    const next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    if (next.KeyMarker === marker.KeyMarker && next.UploadIdMarker === marker.UploadIdMarker) {
      throw new Error("the server lists the same multipart uploads again and again");
    }
    marker = next;
  }
}
