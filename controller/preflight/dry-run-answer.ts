import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode } from "../aws/aws-errors.js";
import type { Findings } from "./findings.js";

/** Makes a call with `DryRun`, and a problem or a note of what EC2 has against it. AWS: "Error codes for the Amazon EC2 API". */
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

/** Not about the call: nothing would come of a backup either. */
const SAYS_SO_ITSELF: string[] = ["AwsAccessDenied", "AwsUnavailable", "CredentialsInvalid"];

/** Whether what EC2 objects to will be so for the backup, too. */
function isLasting(code: string): boolean {
  return !PASSING.test(code) && LASTING.some((kind) => kind.test(code));
}

const LASTING = [
  // What the request says does not go together, or is not known: it will say the same. All ids in it are of things that
  // exist already, so that one that is not found is missing for good.
  /^(InvalidParameter\w*|MissingParameter|UnknownParameter|ValidationError|UnknownVolumeType|Unknown\w*Type)$/,
  /^Invalid(Subnet|SubnetID|Group|GroupId|SecurityGroup\w*|AMIID|AMIName|BlockDeviceMapping|Zone|AvailabilityZone)(\.|$)/,
  /^Invalid(InstanceID|InstanceType|Volume|VolumeID|VolumeType|KmsKey\w*|KMSKey\w*|NetworkInterface\w*|Tag\w*)(\.|$)/,
  // The Region, zone or type has no such thing.
  /^Unsupported\w*$/,
  // The account is not let.
  /^(OptInRequired|PendingVerification|Blocked|OperationNotPermitted)$/,
  // A quota that is full is raised by somebody, or freed; neither happens by waiting.
  /LimitExceeded$/,
];

/**
 * What may be over until the backup gets there, or is waited for then: states, capacity and free addresses, and how many
 * copies are made at once.
 */
const PASSING = /^(Incorrect\w*State|Insufficient\w*|ConcurrentSnapshotLimitExceeded)$/;
