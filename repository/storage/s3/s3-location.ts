import { BlockferryError } from "../../../foundation/errors.js";
import type { BandwidthLimitMemory } from "../bandwidth-limit.js";

/** Storage classes with immediate reads. GLACIER and DEEP_ARCHIVE objects would have to be restored first. */
export const STORAGE_CLASSES = [
  "STANDARD",
  "STANDARD_IA",
  "INTELLIGENT_TIERING",
  "ONEZONE_IA",
  "GLACIER_IR",
  "REDUCED_REDUNDANCY",
  "EXPRESS_ONEZONE",
] as const;

export type StorageClass = (typeof STORAGE_CLASSES)[number];

/**
 * The location of a repository in an S3 bucket. Another thread can open it; it finds the credentials itself.
 */
export interface S3Location {
  kind: "s3";
  bucket: string;
  /** Prefix of all keys: empty, or ending with a slash. */
  prefix: string;
  region: string | undefined;
  /** URL of a server other than AWS. */
  endpointUrl: string | undefined;
  /** Profile of the shared AWS configuration. */
  profile: string | undefined;
  /** Whether the bucket goes into the path or into the host name. */
  addressing: "path" | "virtual-host";
  /** Account that the bucket must belong to. */
  bucketOwner: string | undefined;
  /** Whether requests may go over http to another machine. */
  allowInsecureHttp: boolean;
  /** Storage class of packs; other objects are small and read often. */
  storageClass: StorageClass | undefined;
  encryption: { algorithm: "AES256" | "aws:kms"; kmsKey: string | undefined } | undefined;
  bandwidthLimit: BandwidthLimitMemory | undefined;
  /** A request without any bytes for this long is retried. */
  timeoutMs: number;
  /** A request with transient errors is retried until it has failed for this long without a success. */
  outageMs: number;
  /** Memory of a `RetryCount`. */
  retries: SharedArrayBuffer;
}

/** Returns `s3://bucket/prefix`, for messages. */
export function s3Name({ bucket, prefix }: S3Location): string {
  return `s3://${bucket}/${prefix}`.replace(/\/$/, "");
}

/** The command-line options for an S3 repository; each may be left out. */
export interface S3Options {
  region?: string | undefined;
  endpointUrl?: string | undefined;
  profile?: string | undefined;
  addressing?: S3Location["addressing"] | undefined;
  bucketOwner?: string | undefined;
  allowInsecureHttp?: boolean | undefined;
  storageClass?: StorageClass | undefined;
  encryption?: S3Location["encryption"];
  bandwidthLimit?: BandwidthLimitMemory | undefined;
  timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Long enough for a restart of a server or router. Tests shorten it through the environment. */
const OUTAGE_MS = Number(process.env.BLOCKFERRY_OUTAGE_TIMEOUT_MS) || 5 * 60_000;

/** Parses `s3://bucket/prefix`, where the prefix is optional. @throws Usage */
export function parseS3Location(repo: string, options: S3Options): S3Location {
  const [, bucket = "", path = ""] = /^s3:\/\/([^/]*)\/?(.*)$/i.exec(repo) ?? [];
  if (bucket.includes("@") || bucket.includes(":")) {
    throw usage("The URL of an S3 repository must not contain credentials.", CREDENTIALS);
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw usage(
      `${repo} names no bucket: the name of a bucket has 3 to 63 lowercase letters, digits, dots and hyphens.`,
      "Write s3://BUCKET/PREFIX, as in s3://my-backups/fleet-a",
    );
  }
  const prefix = path.replace(/\/+$/, "");
  if (prefix.split("/").some((part) => part === "." || part === "..") || prefix.includes("//")) {
    throw usage(`${repo} has a prefix with empty or dotted parts.`, "Write s3://BUCKET/PREFIX without them.");
  }
  return {
    kind: "s3",
    bucket,
    prefix: prefix === "" ? "" : `${prefix}/`,
    region: options.region,
    endpointUrl: options.endpointUrl === undefined ? undefined : checkEndpoint(options.endpointUrl),
    profile: options.profile,
    addressing: options.addressing ?? "virtual-host",
    bucketOwner: options.bucketOwner === undefined ? undefined : checkAccount(options.bucketOwner),
    allowInsecureHttp: options.allowInsecureHttp ?? false,
    storageClass: options.storageClass,
    encryption: options.encryption,
    bandwidthLimit: options.bandwidthLimit,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    outageMs: OUTAGE_MS,
    retries: RetryCount.create().memory,
  };
}

const CREDENTIALS =
  "Put them into the environment (AWS_ACCESS_KEY_ID, ...), a profile, or the instance's role.";

function checkEndpoint(endpointUrl: string): string {
  const url = URL.canParse(endpointUrl) ? new URL(endpointUrl) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw usage(
      "--endpoint-url is not an http or https URL.",
      "Write, say, --endpoint-url https://s3.example.com",
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw usage("--endpoint-url must not contain credentials.", CREDENTIALS);
  }
  return endpointUrl;
}

function checkAccount(account: string): string {
  if (/^\d{12}$/.test(account)) return account;
  throw usage(
    `--bucket-owner ${account} is not the id of an AWS account.`,
    "Write its 12 digits, as in --bucket-owner 111122223333",
  );
}

function usage(message: string, remedy: string): BlockferryError {
  return new BlockferryError({ code: "Usage", message, remedy });
}

/** The number of retries: one Int32 that all threads of a process increment. */
export class RetryCount {
  private readonly cell: Int32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cell = new Int32Array(memory);
  }

  static create(): RetryCount {
    return new RetryCount(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): RetryCount {
    return new RetryCount(memory);
  }

  get count(): number {
    return Atomics.load(this.cell, 0);
  }

  increment(): void {
    Atomics.add(this.cell, 0, 1);
  }
}
