import { BlockList, isIP } from "node:net";
import { BlockferryError } from "../../../foundation/errors.js";

/** The destination of a request, and its protocol. */
export interface Address {
  /** With the colon: `https:`. */
  protocol: string;
  /** An IPv6 address may have brackets. */
  hostname: string;
  port?: number | undefined;
}

/** A proxy that the environment names. */
export interface HttpProxy {
  /** With the credentials. */
  url: URL;
  /** For messages, without credentials: `http://proxy.example.com:3128 (HTTPS_PROXY)` */
  name: string;
}

/** The variables for requests over https and http. The first one with a value counts, as for curl. */
const VARIABLES: Record<string, readonly string[]> = {
  "https:": ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
  "http:": ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
};

/**
 * Returns the proxy for a request; undefined for a direct connection. Requests to this machine are never
 * proxied: a proxy on another machine would send them to itself.
 * @throws Usage when the variable is not the URL of a proxy
 */
export function proxyFor(address: Address, env: NodeJS.ProcessEnv = process.env): HttpProxy | undefined {
  const variable = VARIABLES[address.protocol]?.find((name) => env[name]);
  if (variable === undefined || isLoopback(address.hostname)) return undefined;
  const exempt = (env.no_proxy || env.NO_PROXY || "").split(/[\s,]+/).filter((entry) => entry !== "");
  if (exempt.some((entry) => matches(entry, address))) return undefined;
  return parseProxy(variable, env[variable] ?? "");
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** Returns whether a host is this machine: `localhost`, 127.0.0.0/8 or ::1. */
export function isLoopback(hostname: string): boolean {
  const host = withoutBrackets(hostname).toLowerCase();
  return host === "localhost" || isIn(loopback, host);
}

function isIn(list: BlockList, host: string): boolean {
  const version = isIP(host);
  return version !== 0 && list.check(host, version === 6 ? "ipv6" : "ipv4");
}

/** Returns an IPv6 address as sockets take it. */
export function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/**
 * Returns whether an entry of NO_PROXY covers a host: `*`, a network such as 10.0.0.0/8, or a name that
 * covers its subdomains too (`example.com`, `.example.com`, `*.example.com`), the last two with or without a port.
 */
function matches(entry: string, { protocol, hostname, port }: Address): boolean {
  if (entry === "*") return true;
  const host = withoutBrackets(hostname).toLowerCase().replace(/\.$/, "");
  const [, network = "", bits] = /^(.*)\/(\d{1,3})$/.exec(entry) ?? [];
  if (bits !== undefined) return isInNetwork(withoutBrackets(network), Number(bits), host);
  const [, name = entry, onlyPort] = isIP(entry) === 6 ? [] : (/^(.*?)(?::(\d+))?$/.exec(entry) ?? []);
  if (onlyPort !== undefined && Number(onlyPort) !== (port ?? (protocol === "https:" ? 443 : 80)))
    return false;
  const covered = withoutBrackets(name)
    .toLowerCase()
    .replace(/^\*?\./, "");
  return host === covered || (isIP(host) === 0 && host.endsWith(`.${covered}`));
}

function isInNetwork(network: string, bits: number, host: string): boolean {
  const version = isIP(network);
  if (version === 0 || bits > (version === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(network, bits, version === 6 ? "ipv6" : "ipv4");
  return isIn(list, host);
}

function parseProxy(variable: string, value: string): HttpProxy {
  // curl, too, takes a proxy without a protocol for an http one.
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && `${url.pathname}${url.search}${url.hash}`.length <= 1;
  if (!isPlain || !["http:", "https:"].includes(url.protocol) || !canDecode(url)) {
    throw new BlockferryError({
      code: "Usage",
      message: `${variable} is not the URL of an http or https proxy.`,
      remedy: `Write ${variable}=http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters as %40 and the like. NO_PROXY lists hosts that are reached without a proxy.`,
      object: variable,
    });
  }
  return { url, name: `${url.protocol}//${url.host} (${variable})` };
}

function canDecode({ username, password }: URL): boolean {
  try {
    decodeURIComponent(`${username}${password}`);
    return true;
  } catch {
    return false;
  }
}
