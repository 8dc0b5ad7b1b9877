import {
  errorBody,
  type FaultProxy,
  type OwnAnswer,
  type ProxiedRequest,
  type SentRequest,
  startFaultProxy,
} from "./fault-proxy.js";
import { startS3Server } from "./s3-server.js";

/** The objects in one page of a list, where an oddity is about pages. */
export const PAGE_OBJECTS = 10;

/** The bytes that a bucket with a quota accepts: enough for `init`, too few for most backups. */
export const QUOTA_BYTES = 12 * 1024 * 1024;

interface Oddity {
  /** The behavior, for titles of tests: "a server that ...". */
  description: string;
  /** Answers a request in place of the server. */
  answer?: (request: ProxiedRequest) => OwnAnswer | undefined;
  /** Changes a request before the server sees it. */
  changeRequest?: (sent: SentRequest) => void;
  /** Returns the body in place of an XML answer of the server. */
  changeXml?: (request: ProxiedRequest, xml: string) => string;
}

/** Each oddity that some S3 server in use shows. The names start with the request that it is about. */
const ODDITIES = {
  "list-uploads-501": refusing(
    "does not implement ListMultipartUploads",
    isListOfUploads,
    501,
    "NotImplemented",
  ),
  "list-uploads-405": refusing("allows no ListMultipartUploads", isListOfUploads, 405, "MethodNotAllowed"),
  "list-uploads-404": refusing("does not find the list of uploads", isListOfUploads, 404, "NoSuchKey"),
  "list-uploads-exact-key": () => ({
    description: "lists an upload only if the prefix is its whole key, as MinIO does",
    changeXml: ({ url }, xml) => {
      const prefix = queryOf(url).get("prefix") ?? "";
      return isListOfUploads({ url }) ? keepElements("Upload", xml, (key) => key === prefix) : xml;
    },
  }),
  "list-uploads-empty": () => ({
    description: "lists no upload",
    changeXml: ({ url }, xml) => (isListOfUploads({ url }) ? keepElements("Upload", xml, () => false) : xml),
  }),
  "object-lock-501": refusing(
    "does not implement GetObjectLockConfiguration",
    isLockQuestion,
    501,
    "NotImplemented",
  ),
  "object-lock-404": refusing(
    "has another name for a bucket without locks",
    isLockQuestion,
    404,
    "NoSuchObjectLockConfiguration",
  ),
  "object-lock-400": refusing("calls the question for locks invalid", isLockQuestion, 400, "InvalidRequest"),
  "delete-objects-501": refusing("does not implement DeleteObjects", isBatchRemoval, 501, "NotImplemented"),
  "delete-objects-405": refusing("allows no DeleteObjects", isBatchRemoval, 405, "MethodNotAllowed"),
  "delete-objects-400": refusing("does not understand DeleteObjects", isBatchRemoval, 400, "MalformedXML"),
  "if-none-match-501": refusing("does not implement If-None-Match", isConditional, 501, "NotImplemented"),
  "if-none-match-ignored": () => ({
    description: "ignores If-None-Match",
    changeRequest: ({ headers }) => {
      delete headers["if-none-match"];
    },
  }),
  "range-ignored": () => ({
    description: "answers with the whole object when asked for a range",
    changeRequest: ({ headers }) => {
      delete headers.range;
    },
  }),
  "list-small-pages": () => ({
    description: `correctly lists at most ${PAGE_OBJECTS} objects at once`,
    changeRequest: makePagesSmall,
  }),
  "list-without-is-truncated": changingLists("does not say whether a list is complete", (xml) =>
    withoutElement("IsTruncated", xml),
  ),
  "list-without-token": changingLists("says that a list goes on, and not where", (xml) =>
    withoutElement("NextContinuationToken", xml),
  ),
  "list-ignores-token": () => ({
    description: "answers with the first page of a list again and again",
    changeRequest: (sent) => {
      makePagesSmall(sent);
      if (isList(sent)) changeQuery(sent, (query) => query.delete("continuation-token"));
    },
  }),
  "list-capped": changingLists(`calls a list complete after ${PAGE_OBJECTS} objects`, (xml) =>
    withoutElement("NextContinuationToken", xml).replace(/(<IsTruncated>)true/, "$1false"),
  ),
  "list-folds-case": () => ({
    description: "lists all keys in lower case",
    changeXml: ({ url }, xml) =>
      isList({ url })
        ? xml.replace(/<Key>.*?<\/Key>/gs, (key) => `<Key>${key.slice(5, -6).toLowerCase()}</Key>`)
        : xml,
  }),
  "list-omits-newest": () => {
    let newest = "";
    return {
      description: "lists an object only after the next one is stored",
      answer: (request) => {
        if (storesObject(request)) newest = keyOf(request.url);
        return undefined;
      },
      changeXml: ({ url }, xml) =>
        isList({ url }) ? keepElements("Contents", xml, (key) => key !== newest) : xml,
    };
  },
  "crc32-501": refusing("does not implement CRC-32 checksums", hasCrc32, 501, "NotImplemented"),
  "crc32-400": refusing("calls CRC-32 checksums invalid", hasCrc32, 400, "InvalidArgument"),
  "quota-ceph": withQuota("Ceph", 403, "QuotaExceeded"),
  "quota-minio": withQuota("MinIO", 400, "XMinioAdminBucketQuotaExceeded"),
} satisfies Record<string, () => Oddity>;

export type OddityName = keyof typeof ODDITIES;

export const ODDITY_NAMES = Object.keys(ODDITIES) as OddityName[];

/** Returns the behavior of an odd server, for titles of tests: "a server that ...". */
export function describeOddity(name: OddityName): string {
  return ODDITIES[name]().description;
}

/**
 * Starts a server with one oddity: a proxy in front of a real server. It ends with the test file or suite.
 * @param serverUrl the endpoint of a running server; a moto of its own if left out
 * @returns the proxy, which also records all requests
 */
export async function oddServer(oddity: OddityName, serverUrl?: string): Promise<FaultProxy> {
  const proxy = await startFaultProxy(serverUrl ?? (await startS3Server("moto")).endpointUrl);
  behaveAs(proxy, oddity);
  return proxy;
}

/** Gives a running proxy one oddity in place of its former one; without one it passes everything. */
export function behaveAs(proxy: FaultProxy, name: OddityName | undefined): void {
  const oddity: Partial<Oddity> = name === undefined ? {} : ODDITIES[name]();
  proxy.chooseFault = oddity.answer ?? (() => undefined);
  proxy.changeRequest = oddity.changeRequest ?? (() => undefined);
  proxy.changeXml = oddity.changeXml ?? ((_request, xml) => xml);
}

function refusing(
  description: string,
  isRefused: (request: ProxiedRequest) => boolean,
  status: number,
  code: string,
): () => Oddity {
  const refusal = { status, headers: { "content-type": "application/xml" }, body: errorBody(code) };
  return () => ({
    description: `${description} (${status} ${code})`,
    answer: (request) => (isRefused(request) ? refusal : undefined),
  });
}

/** Returns an oddity in lists of objects, whose pages it makes small. */
function changingLists(description: string, change: (xml: string) => string): () => Oddity {
  return () => ({
    description,
    changeRequest: makePagesSmall,
    changeXml: ({ url }, xml) => (isList({ url }) ? change(xml) : xml),
  });
}

function withQuota(server: string, status: number, code: string): () => Oddity {
  return () => {
    let leftBytes = QUOTA_BYTES;
    const { answer } = refusing("", () => true, status, code)();
    return {
      description: `has a quota of ${QUOTA_BYTES} bytes for the bucket, and answers as ${server} when it is reached`,
      answer: (request) => {
        if (request.method !== "PUT") return undefined;
        leftBytes -= request.bodyBytes;
        return leftBytes < 0 ? answer?.(request) : undefined;
      },
    };
  };
}

type Addressed = Pick<ProxiedRequest, "url">;

function isList({ url }: Addressed): boolean {
  return queryOf(url).get("list-type") === "2";
}

function isListOfUploads({ url }: Addressed): boolean {
  return queryOf(url).has("uploads") && keyOf(url) === "";
}

function isLockQuestion({ method, url }: ProxiedRequest): boolean {
  return method === "GET" && queryOf(url).has("object-lock");
}

function isBatchRemoval({ method, url }: ProxiedRequest): boolean {
  return method === "POST" && queryOf(url).has("delete");
}

function isConditional({ headers }: ProxiedRequest): boolean {
  return headers["if-none-match"] !== undefined;
}

function hasCrc32({ headers }: ProxiedRequest): boolean {
  return headers["x-amz-checksum-crc32"] !== undefined || headers["x-amz-checksum-algorithm"] === "CRC32";
}

/** Returns whether a request stores an object, whole or by completing its upload. */
function storesObject({ method, url }: ProxiedRequest): boolean {
  const isPart = queryOf(url).has("uploadId");
  return keyOf(url) !== "" && ((method === "PUT" && !isPart) || (method === "POST" && isPart));
}

function queryOf(url: string): URLSearchParams {
  return new URL(url, "http://server").searchParams;
}

/** Returns the key of a request; empty for requests about the bucket. */
function keyOf(url: string): string {
  return decodeURIComponent(new URL(url, "http://server").pathname.replace(/^\/[^/]*\/?/, ""));
}

function makePagesSmall(sent: SentRequest): void {
  if (!isList(sent)) return;
  changeQuery(sent, (query) => {
    const wanted = Number(query.get("max-keys") ?? PAGE_OBJECTS);
    query.set("max-keys", String(Math.min(wanted, PAGE_OBJECTS)));
  });
}

function changeQuery(sent: SentRequest, change: (query: URLSearchParams) => void): void {
  const url = new URL(sent.url, "http://server");
  change(url.searchParams);
  sent.url = url.pathname + url.search;
}

function withoutElement(name: string, xml: string): string {
  return xml.replace(new RegExp(`<${name}>.*?</${name}>`, "gs"), "");
}

/** Keeps only those elements of a list whose key passes. */
function keepElements(name: string, xml: string, passes: (key: string) => boolean): string {
  return xml.replace(new RegExp(`<${name}>.*?</${name}>`, "gs"), (element) =>
    passes(/<Key>(.*?)<\/Key>/s.exec(element)?.[1] ?? "") ? element : "",
  );
}
