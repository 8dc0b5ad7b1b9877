import { spawn } from "node:child_process";
import { access, mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { tempFolder } from "./temp-folder.js";
import { waitUntil } from "./wait-until.js";

/** Where scripts/s3-servers.sh installs them. */
const TOOLS = fileURLToPath(new URL("../../../.tools/", import.meta.url));
const VERSITYGW = join(TOOLS, "versitygw-v1.8.0", "versitygw");
const MOTO = join(TOOLS, "moto", "bin", "moto_server");

export type S3ServerName = "moto" | "versitygw";

export const BUCKET = "test-bucket";

/** An S3 server of its own for a test file, with one empty bucket, `BUCKET`. */
export interface S3Server {
  name: S3ServerName;
  endpointUrl: string;
  /** Where versitygw keeps its objects as files; moto keeps them in memory. */
  dataFolder: string;
}

/** What a client of the server needs; the agent takes it from its environment, as a user's does. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: "AKIATESTINGTESTING00",
  AWS_SECRET_ACCESS_KEY: "testing/secret+key/that+must/never+be/shown",
  AWS_REGION: "us-east-1",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
};

/** Why tests against a server are left out, or false when they run. With CI=true the server must be there. */
export async function s3ServerMissing(name: S3ServerName): Promise<string | false> {
  if (name === "moto" || process.env.CI === "true") return false;
  const isInstalled = await access(VERSITYGW).then(
    () => true,
    () => false,
  );
  return isInstalled ? false : "versitygw is not installed: that takes Go";
}

/** Why the uploads of two runs cannot be alive together on a server that misdates them. */
export const MISDATES = "it dates every upload years back, so all look abandoned";

/** Whether a server says truly when an upload began: moto says 10 November 2010, whenever that was. */
export function datesUploads(name: S3ServerName): boolean {
  return name !== "moto";
}

/**
 * Starts a server, which ends with the test file or suite, and points the environment at it.
 * @param region versitygw refuses what is signed for another
 */
export async function startS3Server(
  name: S3ServerName,
  region = S3_ENVIRONMENT.AWS_REGION,
): Promise<S3Server> {
  Object.assign(process.env, S3_ENVIRONMENT);
  const port = await freePort();
  const dataFolder = await tempFolder();
  await mkdir(join(dataFolder, BUCKET));
  const [command, ...args] = commandOf(name, { port, dataFolder, region });
  const server = spawn(command as string, args, { stdio: "ignore" });
  after(() => server.kill("SIGKILL"));
  const endpointUrl = `http://127.0.0.1:${port}`;
  process.env.AWS_ENDPOINT_URL = endpointUrl;
  await waitUntil(`${name} to answer`, () => answers(endpointUrl));
  if (name === "moto") await fetch(`${endpointUrl}/${BUCKET}`, { method: "PUT" });
  return { name, endpointUrl, dataFolder };
}

function commandOf(
  name: S3ServerName,
  { port, dataFolder, region }: { port: number; dataFolder: string; region: string },
): string[] {
  if (name === "moto") return [MOTO, "--host", "127.0.0.1", "--port", String(port)];
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = S3_ENVIRONMENT;
  const account = ["--access", AWS_ACCESS_KEY_ID, "--secret", AWS_SECRET_ACCESS_KEY];
  return [
    VERSITYGW,
    ...account,
    ...["--port", `127.0.0.1:${port}`, "--region", region, "--keep-alive", "--quiet"],
    ...["posix", dataFolder],
  ];
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
