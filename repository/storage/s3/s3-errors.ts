import {
  BlockferryError,
  type ErrorCode,
  interrupted,
  systemErrorCode,
  withoutResponse,
  withoutSecrets,
} from "../../../foundation/errors.js";
import { objectNotFound } from "../storage-errors.js";
import { explainConnection, through, unnamedProxy } from "./connection-errors.js";
import { type S3Location, s3Name } from "./s3-location.js";
import { isTransient, statusOf } from "./transient-errors.js";

interface Explanation {
  code: ErrorCode;
  remedy: string;
}

/** Converts an error from S3 into an error with a remedy. The cause is the SDK, the server or the network. */
export function s3Error(location: S3Location, key: string, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  if (cause instanceof Error && cause.name === "AbortError") return interrupted();
  const name = s3Name(location);
  if (!(cause instanceof Error)) return failure(name, key, withoutSecrets(String(cause)), OTHER);
  if (isAbsence(cause)) return objectNotFound(name, key, withoutResponse(cause, reasonOf(cause)));
  const explanation = explain(location, cause);
  return failure(name, key, reasonOf(cause), explanation, withoutResponse(cause, reasonOf(cause)));
}

/**
 * Returns the error for a server that accepts `If-None-Match` and ignores it. There one backup could replace
 * an object that another has written.
 */
export function conditionalWritesIgnored(name: string, key: string): BlockferryError {
  return failure(name, key, "the server replaced an object although it was asked not to", CONDITIONAL_WRITES);
}

/**
 * Returns whether a server has refused a request because it does not know such requests. Servers say so in
 * many words, and none of these statuses says anything about credentials, the bucket or an outage.
 */
export function isUnsupported(location: S3Location, error: unknown): boolean {
  if (!(error instanceof Error) || !UNSUPPORTED_STATUSES.has(statusOf(error) ?? 0)) return false;
  return isAbsence(error) || explain(location, error).code === "StorageFailed";
}

const UNSUPPORTED_STATUSES = new Set([400, 404, 405, 501]);

function isAbsence({ name }: Error): boolean {
  return name === "NoSuchKey" || name === "NotFound";
}

/** Returns the error for a server that let several requests at once create one object. */
export function conditionalWritesRaced(name: string, key: string, winners: number): BlockferryError {
  return failure(
    name,
    key,
    `the server let ${winners} requests at once create one object, although each asked to be the first`,
    CONDITIONAL_WRITES,
  );
}

function failure(
  name: string,
  key: string,
  reason: string,
  { code, remedy }: Explanation,
  cause?: Error,
): BlockferryError {
  return new BlockferryError({ code, message: `${key} in ${name}: ${reason}.`, remedy, object: key }, cause);
}

function reasonOf(error: Error): string {
  const status = statusOf(error);
  const said = withoutSecrets(error.message).trim().replace(/\.$/, "");
  const named = error.name === "Error" || said.startsWith(error.name) ? "" : `${error.name}: `;
  const answered = status === undefined ? "" : ` (HTTP ${status})`;
  return `${named}${said || "no explanation"}${answered}${through(unnamedProxy(error))}`;
}

const OTHER: Explanation = {
  code: "StorageFailed",
  remedy: "Check the server's log and the options of the repository, then run the same command again.",
};

const UNAVAILABLE: Explanation = {
  code: "StorageUnavailable",
  remedy:
    "The request was tried several times. Check the network and the server's state, then run the same command again: it continues from the stored data.",
};

const NO_SUCH_HOST: Explanation = {
  code: "StorageUnavailable",
  remedy: "The host does not exist. Check --endpoint-url, --region and the resolver.",
};

const CONDITIONAL_WRITES: Explanation = {
  code: "ConditionalWritesUnsupported",
  remedy:
    "Use a server that supports If-None-Match on PutObject, as AWS S3 does; without it two backups could overwrite each other.",
};

const BY_NAME: Record<string, Explanation> = {
  NoSuchBucket: {
    code: "BucketNotFound",
    remedy: "Check the bucket's name and --endpoint-url; blockferry does not create buckets.",
  },
  ...sameFor(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"], {
    code: "CredentialsInvalid",
    remedy:
      "The credentials have expired. Get new ones (`aws sso login`, or another session), then run the same command again.",
  }),
  ...sameFor(["InvalidAccessKeyId", "InvalidToken", "UnrecognizedClientException"], {
    code: "CredentialsInvalid",
    remedy:
      "The server does not know these credentials. Check AWS_ACCESS_KEY_ID, --profile and --endpoint-url.",
  }),
  SignatureDoesNotMatch: {
    code: "CredentialsInvalid",
    remedy:
      "The secret key does not belong to the access key, or a proxy changed the request. Check the credentials.",
  },
  RequestTimeTooSkewed: {
    code: "CredentialsInvalid",
    remedy:
      "This machine's clock is wrong by more than 15 minutes. Set it (chrony or systemd-timesyncd keep it right).",
  },
  ...sameFor(["CredentialsProviderError", "TokenProviderError"], {
    code: "CredentialsInvalid",
    remedy:
      "No credentials were found. Give the instance a role, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile.",
  }),
  ...sameFor(["KMS.NotFoundException", "KMS.DisabledException", "KMS.KMSInvalidStateException"], {
    code: "StorageDenied",
    remedy:
      "The key of --sse-kms-key (or of the bucket) does not exist or is disabled. Check its ARN and state.",
  }),
  NotImplemented: {
    code: "StorageFailed",
    remedy:
      "The server lacks something that the request asked for: check --storage-class and --sse; a server without If-None-Match on PutObject cannot hold a repository.",
  },
  InvalidStorageClass: {
    code: "StorageFailed",
    remedy: "The server has no such storage class. Leave --storage-class out, or name one that it has.",
  },
  ...sameFor(
    [
      "InsufficientStorage",
      // Ceph and versitygw; MinIO, full and over the quota of a bucket; NooBaa; Ozone.
      "QuotaExceeded",
      ...["XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"],
      "ObjectQuotaExceeded",
      "QUOTA_EXCEEDED",
    ],
    {
      code: "StorageFull",
      remedy:
        "Free some space or raise the quota, then run the same command again: it continues from the stored data.",
    },
  ),
};

function sameFor(names: string[], explanation: Explanation): Record<string, Explanation> {
  return Object.fromEntries(names.map((name) => [name, explanation]));
}

function explain(location: S3Location, error: Error): Explanation {
  const known = explainConnection(error) ?? BY_NAME[error.name];
  if (known !== undefined) return known;
  if (WRONG_REGION.has(error.name)) return wrongRegion(location, error);
  const status = statusOf(error);
  if (status === 301 || status === 307) return wrongRegion(location, error);
  if (status === 401 || status === 403) return denied(location);
  if (status === 507) return BY_NAME.InsufficientStorage as Explanation;
  if (status === 501) return BY_NAME.NotImplemented as Explanation;
  if (systemErrorCode(error) === "ENOTFOUND") return NO_SUCH_HOST;
  if (isTransient(error)) return UNAVAILABLE;
  if (/region is missing/i.test(error.message)) {
    return { code: "Usage", remedy: "Name the bucket's Region with --region, AWS_REGION or the profile." };
  }
  return OTHER;
}

const WRONG_REGION = new Set([
  "PermanentRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);

function wrongRegion({ bucket }: S3Location, error: Error): Explanation {
  const response = (error as { $response?: { headers?: Record<string, string> } }).$response;
  const named =
    response?.headers?.["x-amz-bucket-region"] ??
    (error as { Region?: string }).Region ??
    /expecting '([a-z0-9-]+)'/.exec(error.message)?.[1];
  // The server says so, and the remedy is a command.
  const region = /^[a-z0-9-]{1,64}$/.test(named ?? "") ? named : undefined;
  return {
    code: "WrongRegion",
    remedy:
      region === undefined
        ? `Bucket ${bucket} is in another Region. Find it with \`aws s3api get-bucket-location --bucket ${bucket}\` and give it with --region.`
        : `Bucket ${bucket} is in ${region}: give --region ${region}.`,
  };
}

function denied({ bucket, prefix, encryption, bucketOwner }: S3Location): Explanation {
  const key =
    encryption?.kmsKey === undefined
      ? ""
      : `, and kms:GenerateDataKey and kms:Decrypt on ${encryption.kmsKey}`;
  return {
    code: "StorageDenied",
    remedy: `${bucketOwner === undefined ? "" : `The bucket must belong to account ${bucketOwner} (--bucket-owner). `}The role needs s3:ListBucket and s3:ListBucketMultipartUploads on ${bucket}, and s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on ${bucket}/${prefix}*${key}.`,
  };
}
