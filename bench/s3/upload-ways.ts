import { once } from "node:events";
import { Agent, request } from "node:http";
import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { BUCKET } from "./servers.js";

/** Part size of blockferry's uploads; the other ways use the same. */
export const PART_BYTES = 8 * 1024 * 1024;
/** The maximum of a backup thread, and lib-storage's default. */
const PARTS_IN_FLIGHT = 4;

/** A part and its CRC-32, which a backup computes from the CRC-32s of the chunks. */
interface Part {
  body: Buffer;
  crc32: number;
}

/** Uploads an object that consists of these parts. */
type UploadObject = (key: string, parts: Part[]) => Promise<void>;

/** Ways to upload the same parts. Each creates its client once. */
export const UPLOAD_WAYS = {
  "http.request": uploadBare,
  blockferry: (endpoint) => uploadAsBackup(endpoint, (part) => part.crc32),
  "blockferry, CRC-32 not known": (endpoint) => uploadAsBackup(endpoint, () => undefined),
  "lib-storage, Readable, SDK defaults": (endpoint) => uploadWithLibStorage(endpoint, {}, asReadable),
  "lib-storage, Buffer, WHEN_REQUIRED": (endpoint) =>
    uploadWithLibStorage(endpoint, { requestChecksumCalculation: "WHEN_REQUIRED" }, Buffer.concat),
} satisfies Record<string, (endpoint: string) => Promise<UploadObject>>;

export type UploadWay = keyof typeof UPLOAD_WAYS;

/** Uploads over bare HTTP, which is the minimum cost of any way. */
async function uploadBare(endpoint: string): Promise<UploadObject> {
  const agent = new Agent({ keepAlive: true });
  return (key, parts) =>
    inFlight(parts, async ({ body }, number) => {
      const url = `${endpoint}/${BUCKET}/${key}?partNumber=${number + 1}&uploadId=0`;
      const sent = request(url, { agent, method: "PUT", headers: { "Content-Length": body.length } });
      sent.end(body);
      const [response] = await once(sent, "response");
      response.resume();
      await once(response, "end");
    });
}

async function uploadAsBackup(
  endpoint: string,
  known: (part: Part) => number | undefined,
): Promise<UploadObject> {
  const storage = await openStorage(
    parseStorageLocation(`s3://${BUCKET}/upload`, { endpointUrl: endpoint, addressing: "path" }),
  );
  if (storage.partBytes !== PART_BYTES) throw new Error(`blockferry's parts have ${storage.partBytes} bytes`);
  return async (key, parts) => {
    const upload = storage.putStream(key);
    await inFlight(parts, (part) => upload.write(part.body, known(part)));
    await upload.finish(Buffer.alloc(0));
  };
}

async function uploadWithLibStorage(
  endpoint: string,
  config: S3ClientConfig,
  bodyOf: (parts: Buffer[]) => Readable | Buffer,
): Promise<UploadObject> {
  const client = new S3Client({ endpoint, forcePathStyle: true, ...config });
  let made: { parts: Part[]; body: Readable | Buffer } | undefined;
  return async (key, parts) => {
    // A Buffer is built once, before the clock runs; a stream can be read only once.
    if (made?.parts !== parts || made.body instanceof Readable) {
      made = { parts, body: bodyOf(parts.map(({ body }) => body)) };
    }
    const params = { Bucket: BUCKET, Key: key, Body: made.body };
    await new Upload({ client, partSize: PART_BYTES, params }).done();
  };
}

function asReadable(parts: Buffer[]): Readable {
  return Readable.from(parts, { objectMode: false });
}

async function inFlight(parts: Part[], send: (part: Part, number: number) => Promise<void>): Promise<void> {
  const left = parts.entries();
  const slot = async () => {
    for (const [number, part] of left) await send(part, number);
  };
  await Promise.all(Array.from({ length: PARTS_IN_FLIGHT }, slot));
}

/** Returns parts with their checksums. */
export function makeParts(count: number, fill: (part: Buffer) => Buffer): Part[] {
  return Array.from({ length: count }, () => {
    const body = fill(Buffer.allocUnsafeSlow(PART_BYTES));
    return { body, crc32: crc32(body) };
  });
}
