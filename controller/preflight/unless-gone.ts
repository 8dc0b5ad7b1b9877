import { BlockferryError } from "../../foundation/blockferry-error.js";
import { awsCode, isNotFound } from "../aws/aws-errors.js";

/** Replaces EC2's error about an unknown id with one that names the option for another id. */
export async function unlessGone<T>(
  look: () => Promise<T>,
  what: string,
  id: string,
  option: string,
): Promise<T> {
  try {
    return await look();
  } catch (error) {
    const isUnknown = isNotFound(error) || /^Invalid(InstanceType|AMIID)/.test(awsCode(error));
    if (isUnknown) throw gone(what, id, option, error);
    throw error;
  }
}

export function gone(what: string, id: string, option: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "AwsResourceNotFound",
      message: `The ${what} ${id} is not there, or not for this account and Region.`,
      remedy: `Name another one with ${option}.`,
      object: id,
    },
    cause,
  );
}
