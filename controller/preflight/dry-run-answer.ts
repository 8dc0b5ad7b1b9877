import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "../aws/aws-errors.js";
import type { Findings } from "./findings.js";

/**
 * Makes a call with `DryRun`, and records EC2's objection as a problem or a note.
 * AWS: "Error codes for the Amazon EC2 API".
 */
export async function heedAnswer(findings: Findings, call: () => Promise<unknown>): Promise<void> {
  await findings.attempt(async () => {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof BlockferryError)) throw error;
      const code = awsCode(error);
      if (code === WOULD_SUCCEED) return;
      if (!SAYS_SO_ITSELF.includes(error.code) && !isLasting(code)) {
        findings.notes.push(`A dry run leaves open whether the call would succeed: ${error.message}`);
        return;
      }
      throw error;
    }
  });
}

/** "If you have the required permissions, the error response is DryRunOperation." */
const WOULD_SUCCEED = "DryRunOperation";

/** Errors that would also fail the backup, independent of this call. */
const SAYS_SO_ITSELF: string[] = ["AwsAccessDenied", "AwsUnavailable", "CredentialsInvalid"];

/** Returns whether EC2 will raise the same objection during the backup. */
function isLasting(code: string): boolean {
  return !PASSING.test(code) && LASTING.some((kind) => kind.test(code));
}

const LASTING = [
  // The request has contradictory or unknown values, so it would fail again. All ids in it belong to existing
  // resources, so a missing one stays missing.
  /^(InvalidParameter\w*|MissingParameter|UnknownParameter|ValidationError|UnknownVolumeType|Unknown\w*Type)$/,
  /^Invalid(Subnet|SubnetID|Group|GroupId|SecurityGroup\w*|AMIID|AMIName|BlockDeviceMapping|Zone|AvailabilityZone)(\.|$)/,
  /^Invalid(InstanceID|InstanceType|Volume|VolumeID|VolumeType|KmsKey\w*|KMSKey\w*|NetworkInterface\w*|Tag\w*)(\.|$)/,
  // The Region, zone or type does not support the request.
  /^Unsupported\w*$/,
  // The account is not permitted.
  /^(OptInRequired|PendingVerification|Blocked|OperationNotPermitted)$/,
  // A full quota must be raised or freed; waiting does not help.
  /LimitExceeded$/,
];

/**
 * Objections that may be gone by the time of the backup, or that the backup waits for.
 * They concern states, capacity, free addresses and the number of concurrent copies.
 */
const PASSING = /^(Incorrect\w*State|Insufficient\w*|ConcurrentSnapshotLimitExceeded)$/;
