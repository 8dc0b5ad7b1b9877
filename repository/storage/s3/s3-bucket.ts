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

/** The bucket and prefix of a repository, and the connection to it: the common part of all requests. */
export class S3Bucket {
  /** `s3://bucket/prefix` */
  readonly name: string;

  private constructor(
    private readonly location: S3Location,
    private readonly connection: S3Connection,
    /** Stops waiting; see `Storage.until`. */
    readonly signal: AbortSignal | undefined,
  ) {
    this.name = s3Name(location);
  }

  static open(location: S3Location): S3Bucket {
    return new S3Bucket(location, new S3Connection(location), undefined);
  }

  /** Returns the same bucket for work that ends when the signal fires. It uses the same connection. */
  until(signal: AbortSignal): S3Bucket {
    // Every request listens to the signal, and Node warns of a leak at more than ten listeners.
    setMaxListeners(0, signal);
    return new S3Bucket(this.location, this.connection, signal);
  }

  /** Sends a command until it succeeds or fails with a lasting error; see `S3Connection.request`. */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: $Command<Input, Output, S3ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    options?: RequestOptions,
  ): Promise<Output> {
    return this.request((client, abortable) => client.send(command, abortable), options);
  }

  /** Sends a request that counts as done only once its answer has been read or checked. */
  request<T>(send: Attempt<T>, options: RequestOptions = {}): Promise<T> {
    return this.connection.request(send, { signal: this.signal, ...options });
  }

  /**
   * Whether uploads in parts are completed with `If-None-Match`;
   * false once the server has refused the header there.
   */
  get completesOnlyNew(): boolean {
    return this.connection.completesOnlyNew;
  }

  set completesOnlyNew(isSo: boolean) {
    this.connection.completesOnlyNew = isSo;
  }

  /** See `Storage.close`. */
  close(): void {
    this.connection.close();
  }

  /** Charges bytes that are already arriving to the bandwidth limit. */
  charge(bytes: number): void {
    this.connection.charge(bytes);
  }

  /** Returns the name of an object in requests. */
  object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.location.bucket, Key: this.location.prefix + key };
  }

  /** Returns the names of the objects whose keys start with `prefix`. */
  prefix(prefix: string): { Bucket: string; Prefix: string } {
    return { Bucket: this.location.bucket, Prefix: this.location.prefix + prefix };
  }

  /** Returns an object's key in the repository. */
  relative(key: string): string {
    return key.slice(this.location.prefix.length);
  }

  /** Returns the encryption that the server applies to new objects. */
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
