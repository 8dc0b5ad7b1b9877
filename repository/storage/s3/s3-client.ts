import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { BlockferryError } from "../../../foundation/errors.js";
import { through } from "./connection-errors.js";
import { credentialsOf } from "./credentials.js";
import { type Address, isLoopback, proxyFor } from "./proxies.js";
import { RequestHandler } from "./request-handler.js";
import { type S3Location, s3Name } from "./s3-location.js";

const CONNECT_TIMEOUT_MS = 5000;

/**
 * Creates a client. Each thread has its own, which keeps its connections alive. The client itself retries
 * nothing, since `S3Connection` does; its `adaptive` mode slows down all requests when the server throttles.
 */
export function createS3Client(location: S3Location): S3Client {
  const requestHandler = new RequestHandler({
    connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, location.timeoutMs),
    socketTimeout: location.timeoutMs,
  });
  const client = new S3Client({
    ...addressOf(location),
    ...credentialsOf(location.profile, requestHandler),
    maxAttempts: 1,
    retryMode: "adaptive",
    requestHandler,
    // Requests that store data include checksums; the SDK would compute them in JavaScript.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // `Expect: 100-continue` costs a round trip and a new connection for every part.
    expectContinueHeader: false,
  });
  refuseInsecureHttp(client, location);
  leavePartsUnsigned(client);
  if (location.bucketOwner !== undefined) expectOwner(client, location.bucketOwner);
  return client;
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

/** Servers other than AWS seldom check the Region. */
const DEFAULT_REGION = "us-east-1";

/** Returns the Region of the environment or the profile, as the SDK finds it, or else the default one. */
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
 * Sends the expected owner of the bucket with every request: a bucket of the same name in another account
 * neither receives nor supplies any data. AWS: "Verifying bucket ownership with bucket owner condition"
 */
function expectOwner(client: S3Client, account: string): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string> };
      request.headers["x-amz-expected-bucket-owner"] = account;
      return next(args);
    },
    { step: "build", name: "expectOwner" },
  );
}

/**
 * Checks each request right before it is sent: its endpoint may come from the environment, a profile or the
 * command line.
 * @throws InsecureEndpoint
 */
function refuseInsecureHttp(client: S3Client, location: S3Location): void {
  if (location.allowInsecureHttp) return;
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as Address;
      if (isProtected(request)) return next(args);
      throw insecureEndpoint(location, request);
    },
    { step: "build", name: "refuseInsecureHttp" },
  );
}

/**
 * Leaves parts out of the signature: to hash every part again would cost as much as the chunk ids. The CRC-32
 * of each part is in a signed header, and https protects the rest. Parts that go over http to another machine
 * are signed with their hash. (AWS: "Signature Calculations for the Authorization Header", UNSIGNED-PAYLOAD)
 */
function leavePartsUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request as Address & { headers: Record<string, string> };
      if (context.commandName === "UploadPartCommand" && isProtected(request)) {
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      }
      return next(args);
    },
    { step: "build", name: "leavePartsUnsigned" },
  );
}

/**
 * Returns whether a request is encrypted, or stays on this machine. A proxy makes no difference: it gets a
 * tunnel to an https endpoint, no request to this machine, and sends any other request on unencrypted.
 */
export function isProtected({ protocol, hostname }: Pick<Address, "protocol" | "hostname">): boolean {
  return protocol === "https:" || isLoopback(hostname);
}

function insecureEndpoint(location: S3Location, address: Address): BlockferryError {
  const { protocol, hostname } = address;
  const way = through(proxyFor(address));
  return new BlockferryError({
    code: "InsecureEndpoint",
    message: `Requests to ${s3Name(location)} would go unencrypted to ${protocol}//${hostname}${way}, which may be another machine. Nothing was sent.`,
    remedy:
      "Give an https endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url of the profile). Add --allow-insecure-http only in a network where no one else can read or change the requests.",
    object: hostname,
  });
}
