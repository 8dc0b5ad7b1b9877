import {
  type _Object,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type MultipartUpload,
} from "@aws-sdk/client-s3";
import { BlockferryError } from "../../../foundation/errors.js";
import type { S3Bucket } from "./s3-bucket.js";

/**
 * Yields all objects of the repository whose keys start with `prefix`. When it ends without an error, the
 * server has said that the list is whole. The absence of a name counts only then.
 * @param pageKeys the most keys in a page; the server decides if left out
 * @throws ListIncomplete
 */
export async function* listObjects(s3: S3Bucket, prefix: string, pageKeys?: number): AsyncGenerator<_Object> {
  const asked = s3.prefix(prefix);
  const pages = new Pages(`${s3.name}/${prefix}`);
  for (let token: string | undefined; ; ) {
    const command = new ListObjectsV2Command({ ...asked, MaxKeys: pageKeys, ContinuationToken: token });
    const { Contents = [], KeyCount = 0, IsTruncated, NextContinuationToken } = await s3.send(command);
    if (KeyCount > Contents.length)
      throw pages.incomplete(`it announced ${KeyCount} objects, and named ${Contents.length}`);
    for (const object of Contents) {
      if (object.Key?.startsWith(asked.Prefix) !== true)
        throw pages.incomplete(`it named ${JSON.stringify(object.Key)}, which is not below the prefix`);
      yield object;
    }
    token = pages.next(IsTruncated, NextContinuationToken);
    if (token === undefined) return;
  }
}

/**
 * Returns all unfinished multipart uploads whose keys start with `prefix`.
 * @throws ListIncomplete
 */
export async function listMultipartUploads(s3: S3Bucket, prefix: string): Promise<MultipartUpload[]> {
  const pages = new Pages(`the unfinished uploads below ${s3.name}/${prefix}`);
  const uploads: MultipartUpload[] = [];
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({ ...s3.prefix(prefix), ...marker });
    const { Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = await s3.send(command);
    uploads.push(...Uploads);
    const next = NextKeyMarker && JSON.stringify([NextKeyMarker, NextUploadIdMarker]);
    if (pages.next(IsTruncated, IsTruncated === false ? undefined : next) === undefined) return uploads;
    marker = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
}

/** The pages of one list, and their order. */
class Pages {
  private readonly seen = new Set<string>();

  /** @param what names the list in errors */
  constructor(private readonly what: string) {}

  /**
   * Returns where the next page starts.
   * @param token from the last page
   * @returns undefined after the last page
   * @throws ListIncomplete if the server did not say that the list is whole, and not where it goes on
   */
  next(isTruncated: boolean | undefined, token: string | undefined): string | undefined {
    if (isTruncated === undefined) throw this.incomplete("it did not say whether the list is whole");
    if (token === undefined) {
      if (isTruncated) throw this.incomplete("it said that the list goes on, and not where");
      return undefined;
    }
    if (this.seen.has(token)) throw this.incomplete("it answered with the same page again");
    this.seen.add(token);
    return token;
  }

  incomplete(reason: string): BlockferryError {
    return new BlockferryError({
      code: "ListIncomplete",
      message: `The server did not list ${this.what} as a whole: ${reason}.`,
      remedy:
        "Nothing was inferred from that list. Run the command again. If it fails again, the server or a proxy before it breaks lists: copy the repository to another server.",
    });
  }
}
