import { BlockferryError, type ErrorCode, withoutResponse, withoutSecrets } from "../../foundation/errors.js";
import { explainConnection } from "../../repository/storage/s3/connection-errors.js";
import { isThrottled, isTransient } from "../../repository/storage/s3/transient-errors.js";

/** An AWS call: its action, caller and object. */
interface Call {
  /** For example `ec2:CreateVolume`. */
  action: string;
  /** ARN of the caller. */
  principal: string;
  object: string;
}

/** Returns the error code of AWS, for example `InvalidVolume.NotFound`. */
export function awsCode(error: unknown): string {
  const cause = error instanceof BlockferryError ? error.cause : error;
  return cause instanceof Error ? cause.name : "";
}

/** Returns whether AWS does not know the resource, or does not know it yet. */
export function isNotFound(error: unknown): boolean {
  return /NotFound(Exception)?$|\.Unknown$/.test(awsCode(error));
}

/** Returns whether AWS denies the caller permission. */
export function isDenied(error: unknown): boolean {
  return DENIED.test(awsCode(error));
}

/**
 * Returns whether credentials have expired or cannot be loaded at the moment.
 * New credentials may work.
 */
export function haveExpired(error: unknown): boolean {
  return EXPIRED.test(awsCode(error));
}

/** Returns whether a call is repeated after an error: one of the network, of AWS or of the credentials. */
export function isRetried(error: unknown): boolean {
  // EC2 reports missing capacity as a server error, but a retry a second later does not help.
  if (NO_CAPACITY.test(awsCode(error))) return false;
  return isTransient(error) || haveExpired(error);
}

/** Returns whether the requested device name is in use on the instance. */
export function isDeviceNameTaken(error: unknown): boolean {
  const isAboutName = error instanceof Error && /already in use|device/i.test(error.message);
  return awsCode(error) === "InvalidParameterValue" && isAboutName;
}

const DENIED = /^(UnauthorizedOperation|AccessDenied(Exception)?|Client\.UnauthorizedOperation)$/;
const EXPIRED = /^(ExpiredToken(Exception)?|RequestExpired|CredentialsProviderError|TokenProviderError)$/;
const CREDENTIALS = /^(InvalidClientTokenId|UnrecognizedClientException|InvalidToken|SignatureDoesNotMatch)$/;
const NO_CAPACITY = /^Insufficient\w*Capacity(On\w+|Exception)?$/;
const LIMIT = /LimitExceeded$/;

/** Converts an error of AWS, the SDK or the network into an error with a remedy. */
export function awsError(call: Call, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const { code, remedy } = explainConnection(cause) ?? explain(call, cause);
  const reason = withoutSecrets(
    cause instanceof Error ? `${cause.name}: ${cause.message.replace(/\.$/, "")}` : String(cause),
  );
  const message = `${call.action} on ${call.object} failed: ${reason}.`;
  return new BlockferryError({ code, message, remedy, object: call.object }, withoutResponse(cause));
}

function explain({ action, principal, object }: Call, cause: unknown): { code: ErrorCode; remedy: string } {
  const name = awsCode(cause);
  if (isDenied(cause)) {
    return {
      code: "AwsAccessDenied",
      remedy: `Allow ${principal} the action ${action} on ${object}; \`blockferry iam-policy\` prints the whole policy. A service control policy or permissions boundary may also deny it.`,
    };
  }
  if (CREDENTIALS.test(name) || EXPIRED.test(name)) {
    return {
      code: "CredentialsInvalid",
      remedy: `Get valid credentials for ${principal}: log in again, or check the profile, the role and the environment.`,
    };
  }
  if (name === "AuthFailure") {
    return {
      code: "CredentialsInvalid",
      remedy: `EC2 could not validate the credentials of ${principal}, or does not let this account use ${object}. Check the credentials and this machine's clock, that the Region is enabled for the account, and which account owns ${object}.`,
    };
  }
  if (isThrottled(cause)) {
    return {
      code: "AwsUnavailable",
      remedy:
        "AWS throttles the account's requests. The request was tried for minutes; wait a while and run it again.",
    };
  }
  if (NO_CAPACITY.test(name)) {
    return {
      code: "AwsOutOfCapacity",
      remedy:
        "AWS has no capacity of this type left in this Availability Zone; a higher quota does not help. Run it again later, or choose another type (--worker-type, --volume-type for the volumes of a backup, --instance-type for a restored instance) or a subnet in another zone (--worker-subnet, --subnet).",
    };
  }
  if (name === "AttachmentLimitExceeded") {
    return {
      code: "AwsLimitExceeded",
      remedy:
        "The instance has no room for more volumes: detach some, or use an instance of a type with more attachments. A higher quota does not help.",
    };
  }
  if (LIMIT.test(name)) {
    return {
      code: "AwsLimitExceeded",
      remedy:
        "Raise this quota of the account (Service Quotas), or remove unneeded resources, then run it again.",
    };
  }
  if (isNotFound(cause)) {
    return { code: "AwsResourceNotFound", remedy: `Check that ${object} exists in this account and Region.` };
  }
  if (isRetried(cause)) {
    return {
      code: "AwsUnavailable",
      remedy:
        "The request was tried for minutes. Check the network and health.aws.amazon.com, then run it again.",
    };
  }
  return {
    code: "AwsRefused",
    remedy: `Fix the problem that AWS names above; see ${action} in the AWS API reference.`,
  };
}

/**
 * Returns an id that AWS always sends, although its SDK types call it optional.
 * @throws Error when the id is missing
 */
export function givenId(id: string | undefined, what: string): string {
  if (id === undefined || id === "") throw new Error(`The id ${what} is missing.`);
  return id;
}
