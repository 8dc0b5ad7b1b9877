import { once } from "node:events";
import { get, type IncomingMessage, type RequestOptions } from "node:http";
import { text } from "node:stream/consumers";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { retry } from "../../foundation/retry.js";

/** Other programs may have their own documents beside ours, but ours has no unknown keys. */
const UserDataSchema = z.object({
  blockferry: z.strictObject({
    repo: z.string().check(z.minLength(1)),
    region: z.optional(z.string()),
    endpointUrl: z.optional(z.string()),
    forcePathStyle: z.optional(z.boolean()),
    /** The expected repository, in the format of `--expect-repository`. */
    expect: z.optional(z.string()),
    bucketOwner: z.optional(z.string()),
    allowInsecureHttp: z.optional(z.literal(true)),
  }),
});

/** The repository location in the user data of a launched worker; it has no credentials. */
type RepositoryFromUserData = z.infer<typeof UserDataSchema>["blockferry"];

/** @throws MetadataUnavailable */
export async function instanceId(): Promise<string> {
  const id = (await readInstanceMetadata("meta-data/instance-id"))?.trim();
  if (id !== undefined && /^i-[0-9a-f]+$/.test(id)) return id;
  throw new BlockferryError({
    code: "MetadataUnavailable",
    message: `The instance metadata service returned no instance id${id === undefined ? "" : `, but ${id}`}.`,
    remedy: "Give the worker's id with --worker-id i-...",
  });
}

/** @throws UserDataInvalid, MetadataUnavailable */
export async function repositoryFromUserData(): Promise<RepositoryFromUserData> {
  const userData = await readInstanceMetadata("user-data");
  if (userData === undefined) throw invalid("this instance has none");
  const parsed = UserDataSchema.safeParse(parseJson(userData));
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  return parsed.data.blockferry;
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw invalid("they are not a JSON document");
  }
}

function invalid(reason: string): BlockferryError {
  return new BlockferryError({
    code: "UserDataInvalid",
    message: `The user data of this instance do not name the repository: ${reason}.`,
    remedy: 'Launch it with {"blockferry":{"repo":"s3://BUCKET/PREFIX"}} as user data, or give --repo.',
  });
}

const DEFAULT_ENDPOINT = "http://169.254.169.254";
const TOKEN_SECONDS = 60;
const TIMEOUT_MS = 2000;
const TRIES = 5;
const BASE_DELAY_MS = 100;

/**
 * Reads from the instance metadata service, with a session token (IMDSv2).
 * Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
 * @returns undefined if the instance has no such item
 * @throws MetadataUnavailable
 */
async function readInstanceMetadata(
  item: "meta-data/instance-id" | "user-data",
): Promise<string | undefined> {
  const endpoint = (process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, "");
  const delayMs = (error: unknown, failures: number) => {
    const isLast = failures === TRIES || (error instanceof Refused && error.isFinal);
    return isLast ? undefined : BASE_DELAY_MS * 2 ** failures;
  };
  try {
    return await retry(() => readOnce(endpoint, item), { delayMs });
  } catch (error) {
    throw unavailable(endpoint, error);
  }
}

async function readOnce(endpoint: string, item: string): Promise<string | undefined> {
  const token = await ask(`${endpoint}/latest/api/token`, {
    method: "PUT",
    headers: { "X-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS) },
  });
  if (token === undefined) throw new Refused("PUT /latest/api/token", 404);
  return ask(`${endpoint}/latest/${item}`, { headers: { "X-aws-ec2-metadata-token": token } });
}

/** Node's `fetch` would use the proxy of the environment if NODE_USE_ENV_PROXY is set; `agent: false` never does. */
async function ask(url: string, options: RequestOptions): Promise<string | undefined> {
  const request = get(url, { ...options, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) });
  // `once` and `text` report the errors up to the end of the answer.
  request.on("error", () => undefined);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const { statusCode = 0 } = response;
  const answer = await text(response);
  if (statusCode === 404) return undefined;
  if (statusCode < 200 || statusCode >= 300)
    throw new Refused(`${options.method ?? "GET"} ${new URL(url).pathname}`, statusCode);
  return answer;
}

class Refused extends Error {
  constructor(
    what: string,
    private readonly status: number,
  ) {
    super(`${what} was answered with ${status}`);
  }

  /** Throttling and server errors are transient; a disabled service is not (403). */
  get isFinal(): boolean {
    return this.status < 500 && this.status !== 401 && this.status !== 429;
  }
}

function unavailable(endpoint: string, cause: unknown): BlockferryError {
  const reason = cause instanceof Refused ? cause.message : "it does not answer";
  return new BlockferryError(
    {
      code: "MetadataUnavailable",
      message: `The instance metadata service at ${endpoint} cannot be read: ${reason}.`,
      remedy:
        "Enable it for the instance (HttpEndpoint enabled; in a container, HttpPutResponseHopLimit 2), or give --repo and --worker-id i-...",
      object: endpoint,
    },
    cause,
  );
}
