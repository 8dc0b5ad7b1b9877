import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

const TOKEN = "a-session-token==";
const ROLES = "/latest/meta-data/iam/security-credentials/";
const ROLE = "backup-worker";
const VALID_MS = 6 * 60 * 60 * 1000;

/** Metadata of an instance; `undefined` means that the service answers 404. */
interface Metadata {
  instanceId: string | undefined;
  userData: string | undefined;
  /** Credentials of the instance's role; undefined for an instance without a role. */
  credentials?: { accessKeyId: string; secretAccessKey: string };
  /**
   * Returns a status to answer in place of the service, or undefined.
   * @param request number of the request, from 0
   */
  failWith?: (request: number) => number | undefined;
}

/**
 * Starts an instance metadata service that requires session tokens (IMDSv2). It ends with the test file or
 * suite.
 */
export async function startMetadataServer(
  metadata: Metadata,
): Promise<{ env: NodeJS.ProcessEnv; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const status = metadata.failWith?.(requests.length);
    requests.push(`${incoming.method} ${incoming.url}`);
    if (status !== undefined) outgoing.writeHead(status).end();
    else answer(metadata, incoming, outgoing);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}/` }, requests };
}

/** Without a session token, because other S3 servers than AWS do not know them. */
function roleCredentials({ accessKeyId, secretAccessKey }: NonNullable<Metadata["credentials"]>): string {
  return JSON.stringify({
    ...{ Code: "Success", Type: "AWS-HMAC", Token: "" },
    ...{ AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey },
    Expiration: new Date(Date.now() + VALID_MS).toISOString(),
  });
}

function answer(
  metadata: Metadata,
  { method, url, headers }: IncomingMessage,
  outgoing: ServerResponse,
): void {
  const send = (status: number, body = "") => outgoing.writeHead(status).end(body);
  if (url === "/latest/api/token") {
    const seconds = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
    if (method !== "PUT") send(405);
    else if (seconds >= 1 && seconds <= 21_600) send(200, TOKEN);
    else send(400);
    return;
  }
  if (headers["x-aws-ec2-metadata-token"] !== TOKEN) {
    send(401);
    return;
  }
  const found = {
    "/latest/meta-data/instance-id": metadata.instanceId,
    "/latest/user-data": metadata.userData,
    [ROLES]: metadata.credentials && ROLE,
    [`${ROLES}${ROLE}`]: metadata.credentials && roleCredentials(metadata.credentials),
  };
  const body = found[url as keyof typeof found];
  if (body === undefined) send(404);
  else send(200, body);
}
