import { type ErrorCode, systemErrorCode } from "../../../foundation/errors.js";
import type { HttpProxy } from "./proxies.js";

/** A proxy answered in place of the server. */
export class ProxyRefused extends Error {
  /** In the form of the SDK's errors: the status decides whether the request is repeated. */
  readonly $metadata: { httpStatusCode: number };

  constructor(httpStatusCode: number) {
    super(`the proxy refused the request with HTTP ${httpStatusCode}`);
    this.name = "ProxyRefused";
    this.$metadata = { httpStatusCode };
  }
}

/** The proxies of failed requests and of answers. */
const proxies = new WeakMap<object, HttpProxy>();

/** Records that an answer came through a proxy. */
export function recordProxy(answer: object, proxy: HttpProxy): void {
  proxies.set(answer, proxy);
}

/** Adds the proxy to the error of a connection. Errors that are made from it quote the message. */
export function nameProxy(error: unknown, proxy: HttpProxy): void {
  if (!(error instanceof Error) || error.name === "AbortError") return;
  error.message = `${error.message.replace(/\.$/, "")}${through(proxy)}`;
  proxies.set(error, proxy);
}

/** Returns ", through the proxy ..." for messages; empty for a direct connection. */
export function through(proxy: HttpProxy | undefined): string {
  return proxy === undefined ? "" : `, through the proxy ${proxy.name}`;
}

/** Returns the proxy that a server's error came through, if its message does not name it. */
export function unnamedProxy(error: Error): HttpProxy | undefined {
  const { $response } = error as { $response?: object };
  return $response === undefined ? undefined : proxies.get($response);
}

const UNKNOWN_ISSUER = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
]);

/** What to do about the other errors of certificates. Source: "X509 certificate error codes" in Node's tls. */
const CERTIFICATE_REMEDIES: Record<string, string> = {
  CERT_HAS_EXPIRED: "Renew the certificate, and check this machine's clock.",
  CERT_NOT_YET_VALID: "Check this machine's clock, and the certificate.",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "The certificate is for other hosts. Check the endpoint; for a bucket with dots in its name, or a server without a certificate for its buckets' hosts, give --force-path-style.",
};

/** Errors of a connection that was not made. With a proxy, it was the connection to the proxy. */
const NOT_CONNECTED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
]);

const WITHOUT_PROXY = "NO_PROXY lists hosts that are reached without a proxy.";

/** Returns the code and remedy for an error of a proxy or of a certificate; undefined for any other error. */
export function explainConnection(error: unknown): { code: ErrorCode; remedy: string } | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof ProxyRefused) {
    const remedy =
      error.$metadata.httpStatusCode === 407
        ? "Write the user and password into the proxy's URL: http://USER:PASSWORD@HOST:PORT"
        : `Check the proxy's log, and whether it allows connections to the endpoint. ${WITHOUT_PROXY}`;
    return { code: "ProxyFailed", remedy };
  }
  const code = systemErrorCode(error) ?? "";
  if (proxies.has(error) && NOT_CONNECTED.has(code)) {
    return {
      code: "ProxyFailed",
      remedy: `The proxy cannot be reached. Check it, and the variable that names it. ${WITHOUT_PROXY}`,
    };
  }
  if (UNKNOWN_ISSUER.has(code)) return { code: "CertificateUntrusted", remedy: howToTrust(process.env) };
  const remedy = CERTIFICATE_REMEDIES[code];
  return remedy === undefined ? undefined : { code: "CertificateUntrusted", remedy };
}

function howToTrust({ AWS_CA_BUNDLE: bundle, NODE_EXTRA_CA_CERTS: extra }: NodeJS.ProcessEnv): string {
  const inUse = [
    ...(bundle ? [`AWS_CA_BUNDLE (${bundle})`] : []),
    ...(extra ? [`NODE_EXTRA_CA_CERTS (${extra})`] : []),
  ];
  const lacking =
    inUse.length === 0
      ? "No bundle of CAs is named in addition to the defaults of Node."
      : `In use, without this CA: ${inUse.join(" and ")}.`;
  return `No trusted CA has signed the certificate of the server or proxy. ${lacking} If you trust it, set AWS_CA_BUNDLE to a PEM file with the certificate of its CA.`;
}
