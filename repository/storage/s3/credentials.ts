import type { fromNodeProviderChain } from "@aws-sdk/credential-providers";
import type { RequestHandler } from "./request-handler.js";

type CredentialProvider = ReturnType<typeof fromNodeProviderChain>;

/**
 * Returns the options of an SDK client for its credentials: those of a profile, regardless of the environment,
 * or else those of the environment or instance. The SDK refreshes them before they expire.
 * @param requestHandler also sends the requests for credentials, to STS or IAM Identity Center. On its own
 *   the SDK takes the client's handler for some of them only
 */
export function credentialsOf(
  profile: string | undefined,
  requestHandler: RequestHandler,
): { profile?: string; credentials: CredentialProvider } {
  let provider: CredentialProvider | undefined;
  return {
    ...(profile === undefined ? {} : { profile }),
    credentials: async (identity) => {
      const { fromIni, fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
      const clientConfig = { requestHandler };
      provider ??=
        profile === undefined ? fromNodeProviderChain({ clientConfig }) : fromIni({ profile, clientConfig });
      return provider(identity);
    },
  };
}
