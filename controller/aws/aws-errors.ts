import { BlockferryError, type ErrorCode } from "../../foundation/blockferry-error.js";

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

const DENIED = /^(UnauthorizedOperation|AccessDenied(Exception)?|Client\.UnauthorizedOperation|AuthFailure)$/;
const CREDENTIALS =
  /^(ExpiredToken(Exception)?|RequestExpired|InvalidClientTokenId|UnrecognizedClientException|CredentialsProviderError|TokenProviderError|InvalidToken|SignatureDoesNotMatch)$/;
const LIMIT = /LimitExceeded$|^(InsufficientVolumeCapacity|InsufficientInstanceCapacity|VcpuLimitExceeded)$/;
const THROTTLED =
  /^(RequestLimitExceeded|Throttling(Exception)?|TooManyRequestsException|EC2ThrottledException)$/;
const UNAVAILABLE =
  /^(InternalError|InternalFailure|ServiceUnavailable|Unavailable|KMSInternalException|TimeoutError)$/;

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
  if (CREDENTIALS.test(name)) {
    return {
      code: "CredentialsInvalid",
      remedy: `Get valid credentials for ${principal}: log in again, or check the profile, the role and the environment.`,
    };
  }
  if (THROTTLED.test(name)) {
    return {
      code: "AwsUnavailable",
      remedy:
        "AWS limits the account's requests. It was tried several times; wait a few minutes and run it again.",
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
  if (UNAVAILABLE.test(name) || isNetworkError(cause)) {
    return {
      code: "AwsUnavailable",
      remedy: "It was tried several times. Check the network and health.aws.amazon.com, then run it again.",
    };
  }
  return { code: "AwsRefused", remedy: `Mend what AWS names above; see ${action} in the AWS API reference.` };
}

function isNetworkError(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && /^E[A-Z]+$/.test(String(cause.code));
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
