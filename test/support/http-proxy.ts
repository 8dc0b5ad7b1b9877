import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import https from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { after } from "node:test";
import { promisify } from "node:util";
import { tempFolder } from "./temp-folder.js";

const run = promisify(execFile);

/** The certificate of a private CA, and one that it has signed for a server. */
export interface Certificates {
  /** PEM file of the CA. */
  caFile: string;
  key: Buffer;
  cert: Buffer;
}

/** Has a new CA sign a certificate for `localhost`, `aws.internal` and `kms.internal`. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await tempFolder();
  const file = (name: string) => join(folder, name);
  const make = (name: string, ...options: string[]) => {
    const key = [
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      file(`${name}.key`),
    ];
    const subject = ["-subj", `/CN=blockferry test ${name}`, "-days", "2"];
    return run("openssl", ["req", "-x509", ...key, ...subject, "-out", file(`${name}.pem`), ...options]);
  };
  await make("ca");
  const signer = ["-CA", file("ca.pem"), "-CAkey", file("ca.key")];
  const names = ["-addext", "subjectAltName=DNS:localhost,DNS:aws.internal,DNS:kms.internal"];
  await make("server", ...signer, ...names, "-addext", "basicConstraints=critical,CA:FALSE");
  const [key, cert] = await Promise.all([readFile(file("server.key")), readFile(file("server.pem"))]);
  return { caFile: file("ca.pem"), key, cert };
}

/** Starts an https server in front of an http server; it ends with the test file or suite. @returns its port */
export async function startTlsServer(targetUrl: string, certificates: Certificates): Promise<number> {
  const server = https.createServer(certificates, (incoming, outgoing) => {
    forward(new URL(incoming.url ?? "", targetUrl), incoming, outgoing);
  });
  return listen(server);
}

export interface HttpProxy {
  port: number;
  /** In order of arrival: `CONNECT host:port`, or the method and the whole URL. */
  requests: string[];
  /** The `proxy-authorization` of each request, decoded. */
  users: string[];
  /** Chooses a status to answer in place of the server; "silence" never answers CONNECT. */
  refuse: (request: string) => number | "silence" | undefined;
}

/**
 * Starts a proxy that ends with the test file or suite. It connects tunnels to every host with one TLS
 * server, and sends every other request to one http server.
 * @param certificates makes it a proxy over https
 */
export async function startHttpProxy(
  targetUrl: string,
  tlsPort: number,
  certificates?: Certificates,
): Promise<HttpProxy> {
  const server = certificates === undefined ? createServer() : https.createServer(certificates);
  const proxy: HttpProxy = {
    port: await listen(server),
    requests: [],
    users: [],
    refuse: () => undefined,
  };
  const record = (incoming: IncomingMessage) => {
    const request = `${incoming.method} ${incoming.url}`;
    proxy.requests.push(request);
    const [, user = ""] = (incoming.headers["proxy-authorization"] ?? "").split(" ");
    proxy.users.push(Buffer.from(user, "base64").toString());
    return proxy.refuse(request);
  };
  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const status = record(incoming);
    if (typeof status === "number") outgoing.writeHead(status).end("Refused by the proxy");
    else forward(new URL(new URL(incoming.url ?? "").pathname, targetUrl), incoming, outgoing);
  });
  server.on("connect", (incoming: IncomingMessage, client: Socket) => {
    const status = record(incoming);
    client.on("error", () => undefined);
    if (status === "silence") return;
    if (status !== undefined) {
      client.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const target = connect(tlsPort, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.pipe(client).pipe(target);
    });
    target.on("error", () => client.destroy());
  });
  return proxy;
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

function forward(url: URL, incoming: IncomingMessage, outgoing: ServerResponse): void {
  url.search = new URL(incoming.url ?? "", "http://any").search;
  // moto takes the first part of any other host for the name of a bucket.
  const headers = { ...incoming.headers, host: url.host };
  const sent = request(url, { method: incoming.method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  sent.on("error", () => outgoing.destroy());
  incoming.pipe(sent);
}
