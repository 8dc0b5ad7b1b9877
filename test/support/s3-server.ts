import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { spawnWithParent } from "../../bench/end-with-parent.js";
import type { ErrorCode } from "../../foundation/errors.js";
import { tempFolder } from "./temp-folder.js";
import { builtTool, needing } from "./tools.js";
import { waitUntil } from "./wait-until.js";

/** The program that scripts/s3-servers.sh installs. */
const MOTO = fileURLToPath(new URL("../../../.tools/moto/bin/moto_server", import.meta.url));

export const S3_SERVER_NAMES = ["moto", "versitygw", "rclone", "s3s-fs", "s3rver"] as const;

export type S3ServerName = (typeof S3_SERVER_NAMES)[number];

/** The servers that cannot hold a repository, and the code of the error with which `init` says so. */
export const REFUSED_SERVERS: Partial<Record<S3ServerName, ErrorCode>> = {
  rclone: "ConditionalWritesUnsupported",
  "s3s-fs": "ConditionalWritesUnsupported",
  s3rver: "ConditionalWritesUnsupported",
};

export const BUCKET = "test-bucket";

/** An S3 server for one test file, with one empty bucket, `BUCKET`. */
export interface S3Server {
  name: S3ServerName;
  endpointUrl: string;
  /** The environment of its clients. A process has that of the server that it started last. */
  environment: Record<string, string>;
  /** The folder in which the server stores its objects; moto keeps objects in memory. */
  dataFolder: string;
}

/** The environment of a client of the server. The agent reads it as in production. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: "AKIATESTINGTESTING00",
  AWS_SECRET_ACCESS_KEY: "testing/secret+key/that+must/never+be/shown",
  AWS_REGION: "us-east-1",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** Returns the options of tests against a server. */
export function needingServer(name: S3ServerName): ReturnType<typeof needing> {
  return name === "moto" ? { skip: false } : needing(name);
}

/** Reason to skip parallel uploads of two runs: the server reports wrong upload dates. */
export const MISDATES = "it dates every upload years back, so all look abandoned";

/** Returns whether a server reports the true start of an upload: moto always reports 10 November 2010. */
export function datesUploads(name: S3ServerName): boolean {
  return name !== "moto";
}

/**
 * Starts a server, and sets the environment for its clients. It ends with the test file or suite.
 * @param region versitygw refuses requests signed for another region
 */
export async function startS3Server(
  name: S3ServerName,
  region = S3_ENVIRONMENT.AWS_REGION,
): Promise<S3Server> {
  const port = await freePort();
  const dataFolder = await tempFolder();
  await mkdir(join(dataFolder, BUCKET));
  const [command, ...args] = commandOf(name, { port, dataFolder, region });
  const server = spawnWithParent(command, args, { stdio: "ignore" });
  after(() => server.kill("SIGKILL"));
  const endpointUrl = `http://127.0.0.1:${port}`;
  const environment = { ...S3_ENVIRONMENT, ...keysOf(name), AWS_ENDPOINT_URL: endpointUrl };
  Object.assign(process.env, environment);
  await waitUntil(`${name} to answer`, () => answers(endpointUrl), 120_000);
  if (name === "moto") await fetch(`${endpointUrl}/${BUCKET}`, { method: "PUT" });
  return { name, endpointUrl, environment, dataFolder };
}

/** Returns the keys of a server that knows only its own. */
function keysOf(name: S3ServerName): Record<string, string> {
  return name === "s3rver" ? { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" } : {};
}

function commandOf(
  name: S3ServerName,
  { port, dataFolder, region }: { port: number; dataFolder: string; region: string },
): [program: string, ...args: string[]] {
  const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret } = S3_ENVIRONMENT;
  const address = `127.0.0.1:${port}`;
  switch (name) {
    case "moto":
      return [MOTO, "--host", "127.0.0.1", "--port", String(port)];
    case "versitygw":
      return [
        ...([builtTool(name), "--access", key, "--secret", secret] as const),
        ...["--port", address, "--region", region, "--keep-alive", "--quiet"],
        ...["posix", dataFolder],
      ];
    case "rclone":
      return [
        ...([builtTool(name), "serve", "s3", "--config", "/dev/null"] as const),
        ...["--addr", address, "--auth-key", `${key},${secret}`, dataFolder],
      ];
    case "s3s-fs":
      return [
        ...([builtTool(name), "--host", "127.0.0.1", "--port", String(port)] as const),
        ...["--access-key", key, "--secret-key", secret, dataFolder],
      ];
    case "s3rver":
      return [
        ...([process.execPath, builtTool(name), "--silent"] as const),
        ...["--address", "127.0.0.1", "--port", String(port), "--directory", dataFolder],
        ...["--configure-bucket", BUCKET],
      ];
  }
}

async function answers(endpointUrl: string): Promise<boolean> {
  try {
    await fetch(endpointUrl);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
