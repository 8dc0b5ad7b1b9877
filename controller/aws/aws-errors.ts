import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";
import { isTransient } from "../../repository/storage/s3/transient.js";

/** What was asked, by whom, about what. */
export interface Call {
  /** `ec2:CreateVolume` */
  action: string;
  /** ARN of the one who asked. */
  principal: string;
  object: string;
}

/** The error code that AWS gave, as `InvalidVolume.NotFound`. */
export function awsCode(error: unknown): string {
  const cause = error instanceof BlockferryError ? error.cause : error;
  return cause instanceof Error ? cause.name : "";
}

/** Whether AWS says that it does not know the resource, or does not know it yet. */
export function isNotFound(error: unknown): boolean {
  return /NotFound(Exception)?$|\.Unknown$/.test(awsCode(error));
}

/** Whether AWS refuses what it understood. */
export function isDenied(error: unknown): boolean {
  return DENIED.test(awsCode(error));
}

/** Whether credentials were valid for some time only, or cannot be got at the moment: they may be better when asked for again. */
export function haveExpired(error: unknown): boolean {
  return EXPIRED.test(awsCode(error));
}

/** Whether a call may well succeed when it is made again: the network, AWS or the credentials fail for now. */
export function isPassing(error: unknown): boolean {
  const name = awsCode(error);
  // EC2 answers with a server error; but what it has not got, it has not got a second later either.
  if (NO_CAPACITY.test(name)) return false;
  return isTransient(error) || THROTTLED.test(name) || UNAVAILABLE.test(name) || EXPIRED.test(name);
}

/** Whether a device name that was asked for is in use at the instance. */
export function isDeviceNameTaken(error: unknown): boolean {
  const isAboutName = error instanceof Error && /already in use|device/i.test(error.message);
  return awsCode(error) === "InvalidParameterValue" && isAboutName;
}

const DENIED = /^(UnauthorizedOperation|AccessDenied(Exception)?|Client\.UnauthorizedOperation)$/;
const EXPIRED = /^(ExpiredToken(Exception)?|RequestExpired|CredentialsProviderError|TokenProviderError)$/;
const CREDENTIALS = /^(InvalidClientTokenId|UnrecognizedClientException|InvalidToken|SignatureDoesNotMatch)$/;
const NO_CAPACITY = /^Insufficient\w*Capacity(Exception)?$/;
const LIMIT = /LimitExceeded$/;
const THROTTLED =
  /^(RequestLimitExceeded|Throttling(Exception)?|TooManyRequestsException|EC2ThrottledException|SnapshotCreationPerVolumeRateExceeded)$/;
const UNAVAILABLE = /^(InternalError|InternalFailure|ServiceUnavailable|Unavailable|KMSInternalException)$/;

/** Turns an error of AWS, the SDK or the network into the error that says what to do about it. */
export function awsError(call: Call, cause: unknown): BlockferryError {
  if (cause instanceof BlockferryError) return cause;
  const { code, remedy } = explain(call, cause);
  const reason =
    cause instanceof Error ? `${cause.name}: ${cause.message.replace(/\.$/, "")}` : String(cause);
  const message = `${call.action} on ${call.object} failed: ${reason}.`;
  return new BlockferryError({ code, message, remedy, object: call.object }, withoutResponse(cause));
}

function explain({ action, principal, object }: Call, cause: unknown): { code: ErrorCode; remedy: string } {
  const name = awsCode(cause);
  if (isDenied(cause)) {
    return {
      code: "AwsAccessDenied",
      remedy: `Allow ${principal} the action ${action} on ${object}; \`blockferry iam-policy\` prints the whole policy. A service control policy or permissions boundary may deny it, too.`,
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
      remedy: `EC2 could not validate the credentials of ${principal}, or does not let this account use ${object}. Check the credentials and this machine's clock, that the Region is enabled for the account, and whom ${object} belongs to.`,
    };
  }
  if (THROTTLED.test(name)) {
    return {
      code: "AwsUnavailable",
      remedy: "AWS limits the account's requests. It was tried for minutes; wait a while and run it again.",
    };
  }
  if (NO_CAPACITY.test(name)) {
    return {
      code: "AwsOutOfCapacity",
      remedy:
        "AWS has none of this type left in this Availability Zone; no quota helps. Run it again later, or choose another type (--worker-type; of a backup's volumes --volume-type, of a restored instance --instance-type) or a subnet in another zone (--worker-subnet, --subnet).",
    };
  }
  if (name === "AttachmentLimitExceeded") {
    return {
      code: "AwsLimitExceeded",
      remedy:
        "The instance takes no more volumes: detach some, or take one of a type with more attachments. No quota helps.",
    };
  }
  if (LIMIT.test(name)) {
    return {
      code: "AwsLimitExceeded",
      remedy:
        "Raise this quota of the account (Service Quotas), or remove what is no longer needed, then run it again.",
    };
  }
  if (isNotFound(cause)) {
    return { code: "AwsResourceNotFound", remedy: `Check that ${object} exists in this account and Region.` };
  }
  if (isPassing(cause)) {
    return {
      code: "AwsUnavailable",
      remedy: "It was tried for minutes. Check the network and health.aws.amazon.com, then run it again.",
    };
  }
  return { code: "AwsRefused", remedy: `Mend what AWS names above; see ${action} in the AWS API reference.` };
}

/** The SDK keeps the whole answer in its errors, key ids and session tokens among it. */
function withoutResponse(cause: unknown): Error {
  const copy = new Error(cause instanceof Error ? cause.message : String(cause));
  if (cause instanceof Error) {
    copy.name = cause.name;
    copy.stack = cause.stack ?? "";
  }
  return copy;
}
