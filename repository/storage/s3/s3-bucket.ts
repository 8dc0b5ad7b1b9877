import { setMaxListeners } from "node:events";
import type {
  $Command,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "@aws-sdk/client-s3";
import type { BlockferryError } from "../../../foundation/blockferry-error.js";
import { type Attempt, type RequestOptions, S3Connection } from "./s3-connection.js";
import { s3Error } from "./s3-errors.js";
import { type S3Location, s3Name } from "./s3-location.js";

/** The bucket and prefix of a repository, and the connection to it: what all requests have in common. */
export class S3Bucket {
  /** `s3://bucket/prefix` */
  readonly name: string;

  private constructor(
    private readonly location: S3Location,
    private readonly connection: S3Connection,
    /** Ends what waits; see `Storage.until`. */
    readonly signal: AbortSignal | undefined,
  ) {
    this.name = s3Name(location);
  }

  static open(location: S3Location): S3Bucket {
    return new S3Bucket(location, new S3Connection(location), undefined);
  }

  /** The same bucket by the same connection, for work that ends when the signal fires. */
  until(signal: AbortSignal): S3Bucket {
    // Every request listens to it, and Node takes more than ten listeners for a leak.
    setMaxListeners(0, signal);
    return new S3Bucket(this.location, this.connection, signal);
  }

  /** Sends a command, until it succeeds or fails with what does not pass; see `S3Connection.request`. */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: $Command<Input, Output, S3ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    options?: RequestOptions,
  ): Promise<Output> {
    return this.request((client, abortable) => client.send(command, abortable), options);
  }

  /** The same for a request that is only done when its answer has been read or checked. */
  request<T>(send: Attempt<T>, options: RequestOptions = {}): Promise<T> {
    return this.connection.request(send, { signal: this.signal, ...options });
  }

  /** Charges bytes that are coming already to the bandwidth limit. */
  charge(bytes: number): void {
    this.connection.charge(bytes);
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
