import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Access } from "../request.js";
import type { PartyName } from "./action-use.js";
import { awsError } from "./aws-errors.js";

export function noRegion(name: PartyName, { profile }: Access): BlockferryError {
  const option = `--${name}-region`;
  const ofProfile = profile === null ? "the profile in use" : `profile ${profile}`;
  return new BlockferryError({
    code: "Usage",
    message: `No Region is named for the ${name === "source" ? "instance" : "worker"}: there is no ${option}, no AWS_REGION in the environment, and no region in ${ofProfile} (~/.aws/config).`,
    remedy: `Give ${option}, as in ${option} eu-central-1, or set AWS_REGION, or write \`region = ...\` into ${ofProfile}.`,
    object: option,
  });
}

/**
 * Returns the error for a role that could not be assumed.
 * GetCallerIdentity needs no permission, so a denial concerns AssumeRole.
 */
export function roleRefused(
  name: PartyName,
  role: string,
  { externalId }: Access,
  cause: unknown,
): BlockferryError {
  const error = awsError({ action: "sts:AssumeRole", principal: "the caller", object: role }, cause);
  const option = `--${name}-external-id`;
  const { code, message, object } = error;
  const remedy = [
    `Allow the caller sts:AssumeRole on it (\`blockferry iam-policy --for controller\`), and name the caller in the role's trust policy.`,
    externalId === null
      ? `If that policy asks for an external id (sts:ExternalId), give it with ${option}.`
      : `The policy may ask for another external id than ${option} gives.`,
  ].join(" ");
  return new BlockferryError({ code, message, remedy, object: object ?? role }, error);
}
