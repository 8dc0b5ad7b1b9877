import { setMaxListeners } from "node:events";
import { isMainThread } from "node:worker_threads";
import type {
  $Command,
  S3Client,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "@aws-sdk/client-s3";
import type { BlockferryError } from "../../../foundation/errors.js";
import { Outage, retry } from "../../../foundation/retry.js";
import { BandwidthLimit } from "../bandwidth-limit.js";
import { createS3Client } from "./s3-client.js";
import { isUnsupported, s3Error } from "./s3-errors.js";
import { RetryCount, type S3Location, s3Name } from "./s3-location.js";
import { ClockCorrection, isTransient, isWithoutCredentials } from "./transient-errors.js";

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

  /** The known properties of the server. */
  get server(): ServerTraits {
    return this.connection.server;
  }

  /** See `isUnsupported` in s3-errors.ts. */
  refusesAsUnknown(error: unknown): boolean {
    return isUnsupported(this.location, error);
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

/**
 * How long to retry before the first answer. There may be no server: a mistyped URL is not worth the wait of
 * an outage.
 */
const FIRST_CONTACT_MS = 10_000;

export interface RequestOptions {
  /** Bytes that each try takes from the bandwidth limit; if left out, a try does not wait for its turn. */
  bytes?: number;
  /** Stops waiting; nothing is retried after it fires. */
  signal?: AbortSignal | undefined;
  /** Aborts a running try; defaults to `signal`. */
  cutOff?: AbortSignal | "never";
}

/** Properties of a server, found at run time by one thread. */
interface ServerTraits {
  /** Whether it accepts `If-None-Match` when an upload in parts is completed. */
  completesOnlyNew: boolean;
  /** Whether it can remove several objects in one request. */
  deletesSeveral: boolean;
  /** Whether it lists unfinished uploads below a folder; undefined until an upload has begun. */
  listsUploads: Promise<boolean> | undefined;
}

/** One try: it must pass `options` to `S3Client.send`. */
type Attempt<T> = (client: S3Client, options: { abortSignal?: AbortSignal }) => Promise<T>;

/** A thread's connection to the server: one client, one bandwidth limit, and one retry policy. */
class S3Connection {
  readonly server: ServerTraits = {
    completesOnlyNew: true,
    deletesSeveral: true,
    listsUploads: undefined,
  };
  private readonly client: S3Client;
  private readonly limit: BandwidthLimit | undefined;
  private readonly outageMs: number;
  private readonly retries: RetryCount;
  /** Other threads start only after the main thread has received an answer. */
  private hasAnswered = !isMainThread;

  constructor(location: S3Location) {
    this.client = createS3Client(location);
    this.limit = location.bandwidthLimit && BandwidthLimit.attach(location.bandwidthLimit);
    this.outageMs = location.outageMs;
    this.retries = RetryCount.attach(location.retries);
  }

  /**
   * Sends a request, and retries it while its errors are transient. Waits for the bandwidth limit before each
   * try, never during one.
   */
  request<T>(send: Attempt<T>, { bytes, signal, cutOff = signal ?? "never" }: RequestOptions): Promise<T> {
    const options = cutOff === "never" ? {} : { abortSignal: cutOff };
    let tries = 0;
    const attempt = async () => {
      if (tries++ > 0) this.retries.increment();
      signal?.throwIfAborted();
      if (bytes !== undefined) await this.limit?.take(bytes, signal);
      const answer = await send(this.client, options);
      this.hasAnswered = true;
      return answer;
    };
    const outage = new Outage();
    const clock = new ClockCorrection();
    const delayMs = (error: unknown, failures: number) => {
      if (clock.allowsRetry(error)) return 0;
      return this.isRetried(error) ? outage.delayMs(failures, this.limitMs) : undefined;
    };
    return retry(attempt, { delayMs, signal });
  }

  /** Closes the connections, which the client would otherwise keep open until the process ends. */
  close(): void {
    this.client.destroy();
  }

  /** Charges bytes that are already arriving: later requests wait for them. */
  charge(bytes: number): void {
    this.limit?.charge(bytes);
  }

  /**
   * Returns whether an error is transient. Missing credentials are too, after a first answer: they return as
   * soon as their provider answers again.
   */
  private isRetried(error: unknown): boolean {
    return isTransient(error) || (this.hasAnswered && isWithoutCredentials(error));
  }

  /** How long requests may fail without a success. */
  private get limitMs(): number {
    return this.hasAnswered ? this.outageMs : Math.min(this.outageMs, FIRST_CONTACT_MS);
  }
}
