import { fromIni, fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { Access } from "../request.js";

const SESSION_NAME = "blockferry";
const DEFAULT_REGION = "us-east-1";

export type CredentialProvider = ReturnType<typeof fromNodeProviderChain>;

/**
 * Returns the credentials of a party.
 * With a role: its session, assumed with the profile or the environment. Without: the profile, else the
 * environment.
 */
export function credentialsFor({ profile, roleArn, externalId, region }: Access): CredentialProvider {
  const own =
    profile === null ? fromNodeProviderChain({ ignoreCache: true }) : fromIni({ profile, ignoreCache: true });
  if (roleArn === null) return own;
  return fromTemporaryCredentials({
    masterCredentials: own,
    clientConfig: { region: region ?? process.env.AWS_REGION ?? DEFAULT_REGION },
    params: {
      RoleArn: roleArn,
      RoleSessionName: SESSION_NAME,
      ...(externalId === null ? {} : { ExternalId: externalId }),
    },
  });
}
