import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import type { S3Location } from "./s3-location.js";

const CONNECT_TIMEOUT_MS = 5000;

/**
 * A client of its own for each thread, which keeps its connections alive. It tries nothing again by itself, which is left to
 * `S3Connection`; its `adaptive` mode slows all its requests down when the server throttles.
 */
export function createS3Client(location: S3Location): S3Client {
  const client = new S3Client({
    ...addressOf(location),
    ...(location.profile === undefined ? {} : credentialsOf(location.profile)),
    maxAttempts: 1,
    retryMode: "adaptive",
    requestHandler: {
      connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, location.timeoutMs),
      socketTimeout: location.timeoutMs,
    },
    // Checksums are given with each request that stores data; the SDK would compute them in JavaScript.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // It costs a round trip and a new connection for every part.
    expectContinueHeader: false,
  });
  leavePartsUnsigned(client);
  return client;
}

/** The profile alone counts, whatever the environment says. The SDK asks again before credentials expire. */
function credentialsOf(profile: string): S3ClientConfig {
  return {
    profile,
    credentials: async () => {
      const { fromIni } = await import("@aws-sdk/credential-providers");
      return fromIni({ profile })();
    },
  };
}

function addressOf({ region, endpointUrl, addressing }: S3Location): S3ClientConfig {
  const defaultRegion =
    endpointUrl !== undefined && process.env.AWS_REGION === undefined ? "us-east-1" : undefined;
  const chosenRegion = region ?? defaultRegion;
  return {
    forcePathStyle: addressing === "path",
    ...(chosenRegion === undefined ? {} : { region: chosenRegion }),
    ...(endpointUrl === undefined ? {} : { endpoint: endpointUrl }),
  };
}

/**
 * Hashing every part for the signature would cost as much again as the chunk ids. The CRC-32 that each part carries is a
 * signed header, and https protects the rest. (AWS: "Signature Calculations for the Authorization Header", UNSIGNED-PAYLOAD)
 */
function leavePartsUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request as { headers: Record<string, string> };
      if (context.commandName === "UploadPartCommand") {
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      }
      return next(args);
    },
    { step: "build", name: "leavePartsUnsigned" },
  );
}
