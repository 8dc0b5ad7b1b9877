import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * An S3 server that answers at once and forgets the bytes of packs and parts. Other objects are kept in memory, so that a backup
 * finds its repository. It checks nothing: no signatures, no checksums. Prints its port.
 */
const objects = new Map<string, { body: Buffer; modified: Date }>();
let uploads = 0;

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.destroy(error as Error));
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://null-sink");
  const isForgotten = searchParams.has("partNumber") || pathname.includes("/packs/");
  const body = isForgotten ? await discard(request) : Buffer.concat(await request.toArray());
  if (request.method === "PUT" && isForgotten) stored(response);
  else if (request.method === "PUT") put(request, response, pathname, body);
  else if (request.method === "POST") multipart(response, searchParams.has("uploads"));
  else if (request.method === "DELETE") remove(response, pathname);
  else if (searchParams.has("uploads")) xml(response, "<ListMultipartUploadsResult/>");
  else if (searchParams.has("list-type")) list(response, pathname, searchParams.get("prefix") ?? "");
  else get(request, response, pathname);
}

/** @returns no bytes, when all of them have come */
async function discard(request: IncomingMessage): Promise<Buffer> {
  request.resume();
  await new Promise((resolve) => request.once("close", resolve));
  return Buffer.alloc(0);
}

function put(request: IncomingMessage, response: ServerResponse, path: string, body: Buffer): void {
  if (request.headers["if-none-match"] === "*" && objects.has(path)) {
    xml(response, "<Error><Code>PreconditionFailed</Code></Error>", 412);
  } else {
    objects.set(path, { body, modified: new Date() });
    stored(response);
  }
}

function stored(response: ServerResponse): void {
  response.writeHead(200, { ETag: '"0"', "Content-Length": 0 }).end();
}

function multipart(response: ServerResponse, begins: boolean): void {
  const result = begins ? `<UploadId>${++uploads}</UploadId>` : "<ETag>0</ETag>";
  const element = begins ? "InitiateMultipartUploadResult" : "CompleteMultipartUploadResult";
  xml(response, `<${element}>${result}</${element}>`);
}

/** An object, or everything below a path that ends with a slash. */
function remove(response: ServerResponse, path: string): void {
  for (const key of objects.keys()) {
    if (key === path || (path.endsWith("/") && key.startsWith(path))) objects.delete(key);
  }
  response.writeHead(204).end();
}

function list(response: ServerResponse, path: string, prefix: string): void {
  const bucket = `${path.replace(/\/$/, "")}/`;
  const contents = [...objects]
    .filter(([key]) => key.startsWith(bucket + prefix))
    .map(
      ([key, { body, modified }]) =>
        `<Contents><Key>${key.slice(bucket.length)}</Key><Size>${body.length}</Size><LastModified>${modified.toISOString()}</LastModified></Contents>`,
    );
  xml(response, `<ListBucketResult>${contents.sort().join("")}</ListBucketResult>`);
}

function get(request: IncomingMessage, response: ServerResponse, path: string): void {
  const object = objects.get(path);
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  if (object === undefined) {
    xml(response, "<Error><Code>NoSuchKey</Code></Error>", 404);
  } else if (from === undefined) {
    response.writeHead(200, { "Content-Length": object.body.length }).end(object.body);
  } else {
    const part = object.body.subarray(Number(from), Number(to) + 1);
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${object.body.length}`;
    response.writeHead(206, { "Content-Length": part.length, "Content-Range": range }).end(part);
  }
}

function xml(response: ServerResponse, content: string, status = 200): void {
  response.writeHead(status, {
    "Content-Type": "application/xml",
    "Content-Length": Buffer.byteLength(content),
  });
  response.end(content);
}
