import http, { type RequestOptions } from "node:http";
import https, { type AgentOptions } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { trustedContext } from "./ca-bundle.js";
import { nameProxy, ProxyRefused, recordProxy } from "./connection-errors.js";
import { type HttpProxy, proxyFor, withoutBrackets } from "./proxies.js";

/** Timeouts of an SDK client, in milliseconds. The SDK's own defaults are to wait forever. */
interface Timeouts {
  connectionTimeout: number;
  /** Without a byte. */
  socketTimeout: number;
}

type Handle = NodeHttpHandler["handle"];
type Request = Parameters<Handle>[0];
type Answer = ReturnType<Handle>;

/** As the SDK's own agents. */
const POOL = { keepAlive: true, maxSockets: 50 };

/**
 * The `requestHandler` of every SDK client: the SDK's own, which also honours the proxies of the environment
 * (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) and AWS_CA_BUNDLE. Errors of connections name the proxy.
 *
 * Node's agents can do the same from 22.21 on (`proxyEnv`), but report a refusal by its text alone, and
 * proxy requests to this machine. The agents on npm either do not report the status of a refused CONNECT,
 * or wait for its answer without a limit.
 */
export class RequestHandler extends NodeHttpHandler {
  private readonly tunnels = new Map<string, NodeHttpHandler>();

  constructor(private readonly timeouts: Timeouts) {
    super({ ...timeouts, httpsAgent: new TrustingAgent(POOL) });
    keepMetadataDirect();
  }

  override async handle(...[request, options]: Parameters<Handle>): Answer {
    const proxy = proxyFor(request);
    if (request.protocol === "https:" || proxy?.url.protocol === "https:") trustedContext();
    if (proxy === undefined) return super.handle(request, options);
    try {
      if (request.protocol === "https:") return await this.tunnel(proxy).handle(request, options);
      const answer = await super.handle(toProxy(request, proxy), options);
      if (answer.response.statusCode === 407) {
        answer.response.body.destroy();
        throw new ProxyRefused(407);
      }
      recordProxy(answer.response, proxy);
      return answer;
    } catch (error) {
      nameProxy(error, proxy);
      throw error;
    }
  }

  override destroy(): void {
    super.destroy();
    for (const tunnel of this.tunnels.values()) tunnel.destroy();
    this.tunnels.clear();
  }

  private tunnel(proxy: HttpProxy): NodeHttpHandler {
    const known = this.tunnels.get(proxy.url.href);
    if (known !== undefined) return known;
    const httpsAgent = new TunnelAgent(proxy.url, this.timeouts.connectionTimeout);
    const tunnel = new NodeHttpHandler({ ...this.timeouts, httpsAgent });
    this.tunnels.set(proxy.url.href, tunnel);
    return tunnel;
  }
}

/**
 * Node sends all requests without an agent of their own to the proxy if NODE_USE_ENV_PROXY is set, also those
 * of the SDK to the instance metadata service, whose answers are the instance's credentials.
 */
function keepMetadataDirect(): void {
  const { proxyEnv } = (http.globalAgent as { options?: { proxyEnv?: object } }).options ?? {};
  if (proxyEnv !== undefined) http.globalAgent = new http.Agent({ keepAlive: true });
}

/** Turns a request over http into one to a proxy, which sends it on (RFC 9112, "absolute-form"). */
function toProxy(request: Request, { url }: HttpProxy): Request {
  const { hostname, port, path } = request;
  return {
    ...request,
    protocol: url.protocol,
    hostname: url.hostname,
    port: portOf(url),
    path: `http://${hostname}${port === undefined ? "" : `:${port}`}${path}`,
    headers: { ...request.headers, ...authorization(url) },
  } as Request;
}

function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === "https:" ? 443 : 80);
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` };
}

type Connected = (error: Error | null, stream: Duplex) => void;

/** Trusts AWS_CA_BUNDLE. */
class TrustingAgent extends https.Agent {
  override createConnection(options: RequestOptions, callback?: Connected): Duplex | null | undefined {
    return super.createConnection({ ...options, ...trustedContext() }, callback);
  }
}

/** Connects to servers through tunnels of a proxy (RFC 9110, "CONNECT"); TLS is with the server. */
class TunnelAgent extends TrustingAgent {
  constructor(
    private readonly proxy: URL,
    private readonly connectMs: number,
  ) {
    super(POOL satisfies AgentOptions);
  }

  override createConnection(options: RequestOptions, callback: Connected): undefined {
    const fail = callback as (error: Error) => void;
    const host = String(options.host);
    const target = `${host.includes(":") ? `[${host}]` : host}:${options.port}`;
    const isSecure = this.proxy.protocol === "https:";
    const connect = (isSecure ? https : http).request({
      method: "CONNECT",
      host: withoutBrackets(this.proxy.hostname),
      port: portOf(this.proxy),
      path: target,
      headers: { host: target, ...authorization(this.proxy) },
      agent: false,
      timeout: this.connectMs,
      ...(isSecure ? trustedContext() : {}),
    });
    connect.once("connect", ({ statusCode = 0 }, socket: Socket) => {
      socket.setTimeout(0);
      if (statusCode >= 200 && statusCode < 300) {
        callback(null, super.createConnection({ ...options, socket } as RequestOptions) as Duplex);
      } else {
        socket.destroy();
        fail(new ProxyRefused(statusCode));
      }
    });
    connect.once("timeout", () => connect.destroy(silent(this.connectMs)));
    connect.once("error", fail);
    connect.end();
  }
}

function silent(ms: number): Error {
  return Object.assign(new Error(`no answer to CONNECT for ${ms} ms`), { code: "ETIMEDOUT" });
}
