import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { setTimeout } from "node:timers/promises";

/** The possible faults of one request. */
export const FAULTS = [
  "error-500",
  "slow-down-503",
  "cut-request",
  "cut-response",
  "stall-request",
  "stall-response",
  "delay",
  "corrupt-request",
  "corrupt-response",
  "lose-response",
] as const;

export type Fault = (typeof FAULTS)[number];

/** An answer that the test gives in place of the server. */
export interface OwnAnswer {
  status: number;
  headers?: Record<string, string>;
  body: string;
}

export interface ProxiedRequest {
  method: string;
  /** Path with the query. */
  url: string;
  headers: NodeJS.Dict<string | string[]>;
  bodyBytes: number;
  /** The body; undefined until it has arrived. */
  body: Buffer | undefined;
  fault: Fault | OwnAnswer | undefined;
  /**
   * Status of the server's answer; undefined until the answer arrives, or when the proxy did not ask the
   * server.
   */
  status: number | undefined;
}

export interface FaultProxy {
  endpointUrl: string;
  /** All requests, in order of arrival. */
  requests: ProxiedRequest[];
  /** Chooses the fault of each request. */
  chooseFault: (request: ProxiedRequest) => Fault | OwnAnswer | undefined;
  /** Changes a request before the server sees it. */
  changeRequest: (sent: SentRequest) => void;
  /** Returns the body that the client gets in place of a whole XML answer of the server. */
  changeXml: (request: ProxiedRequest, xml: string) => string;
  /** By how much the server's clock is ahead of the true time, in milliseconds: shifts the date of answers. */
  clockAheadMs: number;
}

/** A request as the proxy sends it on. */
export interface SentRequest {
  /** Path with the query. */
  url: string;
  headers: NodeJS.Dict<string | string[]>;
}

const DELAY_MS = 300;

/**
 * Starts a proxy in front of a real S3 server; it ends with the test file or suite. The proxy keeps whole
 * requests and answers in memory.
 */
export async function startFaultProxy(targetUrl: string, host = "127.0.0.1"): Promise<FaultProxy> {
  const server = createServer((incoming, outgoing) => {
    serve(proxy, targetUrl, incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  server.listen(0, host);
  await once(server, "listening");
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const proxy: FaultProxy = {
    endpointUrl: `http://${host}:${port}`,
    requests: [],
    chooseFault: () => undefined,
    changeRequest: () => undefined,
    changeXml: (_request, xml) => xml,
    clockAheadMs: 0,
  };
  return proxy;
}

async function serve(
  proxy: FaultProxy,
  targetUrl: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "", url = "", headers } = incoming;
  const bodyBytes = Number(headers["content-length"] ?? 0);
  const proxied: ProxiedRequest = {
    ...{ method, url, headers, bodyBytes },
    ...{ body: undefined, fault: undefined, status: undefined },
  };
  proxy.requests.push(proxied);
  const fault = proxy.chooseFault(proxied);
  proxied.fault = fault;
  if (fault === "cut-request") {
    if (bodyBytes > 0) await once(incoming, "data");
    incoming.socket.destroy();
    return;
  }
  const body = await wholeBody(incoming);
  proxied.body = body;
  if (fault === "stall-request") return;
  if (fault === "delay") await setTimeout(DELAY_MS);
  const own = ownAnswer(fault);
  outgoing.setHeader("date", new Date(Date.now() + proxy.clockAheadMs).toUTCString());
  if (own !== undefined) {
    outgoing.writeHead(own.status, own.headers).end(method === "HEAD" ? undefined : own.body);
    return;
  }
  if (fault === "corrupt-request") flipBit(body);
  const sent = { url, headers: { ...headers } };
  proxy.changeRequest(sent);
  const answer = await forward(new URL(sent.url, targetUrl), method, sent.headers, body);
  proxied.status = answer.head.statusCode;
  if (method !== "HEAD" && isXml(answer.head)) changeBody(answer, (xml) => proxy.changeXml(proxied, xml));
  await reply(fault, answer, incoming, outgoing);
}

function changeBody(answer: Answer, change: (body: string) => string): void {
  answer.body = Buffer.from(change(answer.body.toString()));
  answer.head.headers["content-length"] = String(answer.body.length);
  delete answer.head.headers["transfer-encoding"];
}

function ownAnswer(fault: Fault | OwnAnswer | undefined): OwnAnswer | undefined {
  if (typeof fault === "object") return fault;
  if (fault === "error-500") return { status: 500, body: errorBody("InternalError") };
  if (fault === "slow-down-503") return { status: 503, body: errorBody("SlowDown") };
  return undefined;
}

/** Returns the body of an error in the format of S3. */
export function errorBody(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>Made by the test's proxy</Message></Error>`;
}

/** Returns an error in the format of S3, EC2 and STS. */
export function xmlError(status: number, code: string): OwnAnswer {
  return { status, headers: { "content-type": "application/xml" }, body: errorBody(code) };
}

/** Requests that are dated further off are refused by AWS. */
const TOLERANCE_MS = 15 * 60_000;

/** Refuses requests that are dated wrongly by the server's clock; for `FaultProxy.chooseFault`. */
export function wrongDateRefused(proxy: FaultProxy, answer: OwnAnswer): FaultProxy["chooseFault"] {
  return ({ headers }) => {
    const date = String(headers["x-amz-date"]).replace(
      /^(....)(..)(..)T(..)(..)(..)Z$/,
      "$1-$2-$3T$4:$5:$6Z",
    );
    const differenceMs = Date.parse(date) - (Date.now() + proxy.clockAheadMs);
    return Math.abs(differenceMs) > TOLERANCE_MS ? answer : undefined;
  };
}

async function reply(
  fault: Fault | OwnAnswer | undefined,
  { head, body }: Answer,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (fault === "lose-response") {
    incoming.socket.destroy();
    return;
  }
  // XML answers have no checksum; https protects them against changes.
  if (fault === "corrupt-response" && !isXml(head)) flipBit(body);
  const { date: _, ...headers } = head.headers;
  outgoing.writeHead(head.statusCode ?? 502, headers);
  if (fault !== "cut-response" && fault !== "stall-response") {
    outgoing.end(body);
    return;
  }
  outgoing.flushHeaders();
  if (body.length > 1) outgoing.write(body.subarray(0, body.length / 2));
  if (fault === "cut-response") {
    await setTimeout(10);
    incoming.socket.destroy();
  }
}

interface Answer {
  head: IncomingMessage;
  body: Buffer;
}

async function forward(
  url: URL,
  method: string,
  headers: NodeJS.Dict<string | string[]>,
  body: Buffer,
): Promise<Answer> {
  const outgoing = request(url, { method, headers });
  // A server may answer and close the connection before it has read the whole body.
  outgoing.on("error", () => undefined);
  outgoing.end(body);
  const [head] = (await once(outgoing, "response")) as [IncomingMessage];
  return { head, body: await wholeBody(head) };
}

async function wholeBody(stream: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function flipBit(body: Buffer): void {
  const middle = body.length >> 1;
  if (body.length > 0) body.writeUInt8(body.readUInt8(middle) ^ 0x10, middle);
}

function isXml(head: IncomingMessage): boolean {
  return (head.headers["content-type"] ?? "").includes("xml");
}
