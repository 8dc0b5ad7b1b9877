import type { S3Client } from "@aws-sdk/client-s3";
import type { BlockferryError } from "../../../foundation/blockferry-error.js";
import { BandwidthLimit } from "../bandwidth-limit.js";
import { createS3Client } from "./s3-client.js";
import { s3Error } from "./s3-errors.js";
import { type S3Location, s3Name } from "./s3-location.js";

/** The bucket and prefix of a repository, and the client to reach it: what all requests have in common. */
export class S3Bucket {
  readonly client: S3Client;
  readonly limit: BandwidthLimit | undefined;
  /** `s3://bucket/prefix` */
  readonly name: string;

  constructor(private readonly location: S3Location) {
    this.client = createS3Client(location);
    this.limit = location.bandwidthLimit && BandwidthLimit.attach(location.bandwidthLimit);
    this.name = s3Name(location);
  }

  /** Names an object of the repository in a request. */
  object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.location.bucket, Key: this.location.prefix + key };
  }

  /** Names the objects whose keys begin with `prefix`. */
  prefix(prefix: string): { Bucket: string; Prefix: string } {
    return { Bucket: this.location.bucket, Prefix: this.location.prefix + prefix };
  }

  /** The repository's own name of an object. */
  relative(key: string): string {
    return key.slice(this.location.prefix.length);
  }

  /** How the server is to encrypt what is stored. */
  get encryption() {
    const { encryption } = this.location;
    if (encryption === undefined) return {};
    return {
      ServerSideEncryption: encryption.algorithm,
      ...(encryption.kmsKey === undefined ? {} : { SSEKMSKeyId: encryption.kmsKey }),
    };
  }

  get storageClass() {
    const { storageClass } = this.location;
    return storageClass === undefined ? {} : { StorageClass: storageClass };
  }

  explain(key: string, error: unknown): BlockferryError {
    return s3Error(this.location, key, error);
  }
}
