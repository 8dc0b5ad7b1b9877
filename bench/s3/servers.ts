import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { spawnWithParent } from "../end-with-parent.js";
import { measure } from "../measure.js";
import type { Place } from "../place.js";

const NULL_SINK = fileURLToPath(new URL("../../../bench/s3/null-sink.py", import.meta.url));
/** The path where scripts/s3-servers.sh installs versitygw. */
const VERSITYGW = fileURLToPath(new URL("../../../.tools/versitygw-v1.8.0/versitygw", import.meta.url));
const START_DEADLINE_MS = 10_000;

export const BUCKET = "bench-bucket";

/** The environment of the servers' clients. */
export const S3_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: "AKIABENCHMARKING0000",
  AWS_SECRET_ACCESS_KEY: "bench/secret/key",
  AWS_REGION: "us-east-1",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** An S3 server in a process of its own, with one bucket. */
interface S3Server {
  endpointUrl: string;
  /** Returns the place of a repository, at a prefix of the bucket. */
  place(prefix: string): Place;
  stop(): Promise<void>;
}

/** Starts a server that answers at once and drops packs, so that only the client is measured. */
export async function startNullSink(): Promise<S3Server> {
  const server = spawnWithParent("python3", [NULL_SINK], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = (await once(server.stdout as Readable, "data")) as [Buffer];
  const endpointUrl = `http://127.0.0.1:${port.toString().trim()}`;
  const emptyOf = (prefix: string) => async () => {
    await fetch(`${endpointUrl}/${BUCKET}/${prefix}/`, { method: "DELETE" });
  };
  return describe(server, endpointUrl, emptyOf);
}

export async function isVersitygwInstalled(): Promise<boolean> {
  return access(VERSITYGW).then(
    () => true,
    () => false,
  );
}

/** Starts a real server, which stores objects as files. */
export async function startVersitygw(dataFolder: string): Promise<S3Server> {
  const port = await freePort();
  await mkdir(join(dataFolder, BUCKET), { recursive: true });
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = S3_ENVIRONMENT;
  const account = ["--access", AWS_ACCESS_KEY_ID, "--secret", AWS_SECRET_ACCESS_KEY];
  const options = ["--port", `127.0.0.1:${port}`, "--keep-alive", "--quiet"];
  const args = [...account, ...options, "posix", dataFolder];
  const server = spawnWithParent(VERSITYGW, args, { stdio: "ignore" });
  const endpointUrl = `http://127.0.0.1:${port}`;
  await untilAnswers(endpointUrl);
  return describe(
    server,
    endpointUrl,
    (prefix) => () => rm(join(dataFolder, BUCKET, prefix), { recursive: true, force: true }),
  );
}

function describe(
  server: ChildProcess,
  endpointUrl: string,
  emptyOf: (prefix: string) => () => Promise<void>,
): S3Server {
  return {
    endpointUrl,
    place: (prefix) => ({
      url: `s3:${endpointUrl}/${BUCKET}/${prefix}`,
      blockferryOptions: ["--repo", `s3://${BUCKET}/${prefix}`, "--force-path-style"],
      env: { ...S3_ENVIRONMENT, AWS_ENDPOINT_URL: endpointUrl },
      empty: emptyOf(prefix),
      // The client does not control when a server writes data to disk.
      measure,
    }),
    stop: async () => {
      const ended = once(server, "close");
      server.kill("SIGKILL");
      await ended;
    },
  };
}

async function untilAnswers(endpointUrl: string): Promise<void> {
  for (const deadline = Date.now() + START_DEADLINE_MS; ; await sleep(20)) {
    try {
      await fetch(endpointUrl);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
