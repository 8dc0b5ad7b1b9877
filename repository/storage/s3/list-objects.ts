import { type _Object, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { S3Bucket } from "./s3-bucket.js";

/** Yields all objects of the repository whose keys start with `prefix`. */
export async function* listObjects(s3: S3Bucket, prefix: string): AsyncGenerator<_Object> {
  let token: { ContinuationToken?: string } = {};
  for (;;) {
    const command = new ListObjectsV2Command({ ...s3.prefix(prefix), ...token });
    const page = await s3.send(command);
    yield* page.Contents ?? [];
    if (page.NextContinuationToken === undefined) return;
    if (page.NextContinuationToken === token.ContinuationToken) {
      throw new Error("the server lists the same objects again and again");
    }
    token = { ContinuationToken: page.NextContinuationToken };
  }
}
