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

function addressOf({ region, endpointUrl, addressing, profile }: S3Location): S3ClientConfig {
  const config: S3ClientConfig = { forcePathStyle: addressing === "path" };
  if (region !== undefined) config.region = region;
  if (endpointUrl !== undefined) {
    config.endpoint = endpointUrl;
    config.region ??= namedRegion(profile);
  }
  return config;
}

/** Servers other than AWS seldom care about the Region. */
const DEFAULT_REGION = "us-east-1";

/** The Region that the environment or the profile names, as the SDK finds it, or else the default one. */
function namedRegion(profile: string | undefined): () => Promise<string> {
  let region: Promise<string> | undefined;
  const find = () => {
    const { config } = new S3Client(profile === undefined ? {} : { profile });
    return config.region().catch(() => DEFAULT_REGION);
  };
  return () => {
    region ??= find();
    return region;
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
