import type { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import {
  type _Error,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  PutObjectCommand,
  type StorageClass,
} from "@aws-sdk/client-s3";
import { maxObjectBytes } from "../../format/object-bounds.js";
import type { GetOptions } from "../storage.js";
import { objectExists, objectTooLarge } from "../storage-errors.js";
import type { RequestOptions, S3Bucket } from "./s3-bucket.js";
import { bodyLost } from "./transient-errors.js";

interface PutFields {
  IfNoneMatch?: "*" | undefined;
  StorageClass?: StorageClass;
}

interface PutOptions extends Omit<RequestOptions, "bytes"> {
  /** The body's CRC-32, if it is known. */
  crc32?: number | undefined;
}

/**
 * Stores an object in one request. Aborts it only if the caller asks for that: afterwards it is unknown
 * whether the object is stored.
 */
export async function putObject(
  s3: S3Bucket,
  key: string,
  body: Uint8Array,
  fields: PutFields = {},
  { crc32, ...options }: PutOptions = {},
): Promise<void> {
  const command = new PutObjectCommand({
    ...s3.object(key),
    ...s3.encryption,
    ...fields,
    Body: body,
    ContentLength: body.length,
    ChecksumCRC32: crc32Base64(body, crc32),
  });
  await s3.send(command, {
    cutOff: "never",
    ...options,
    bytes: body.length,
  });
}

/** Stores an object under a new name. @throws ObjectExists when there is another */
export async function putNewObject(
  s3: S3Bucket,
  key: string,
  body: Uint8Array,
  fields: Omit<PutFields, "IfNoneMatch"> = {},
  options: PutOptions = {},
): Promise<void> {
  try {
    await putObject(s3, key, body, { ...fields, IfNoneMatch: "*" }, options);
  } catch (error) {
    if (!isPreconditionFailed(error)) throw error;
    if (!(await holds(s3, key, body))) throw objectExists(s3.name, key, error);
  }
}

/** Returns whether the server refused a request because of `If-None-Match`. */
export function isPreconditionFailed(error: unknown): boolean {
  return error instanceof Error && error.name === "PreconditionFailed";
}

/**
 * Returns whether the object has this body. A put whose answer was lost finds its own object when it is
 * retried: every such object contains a random id.
 */
async function holds(s3: S3Bucket, key: string, body: Uint8Array): Promise<boolean> {
  const range = { offset: 0, length: body.length + 1 };
  return (await readS3Object(s3, key, { range })).equals(body);
}

/** Removes an object; a missing object is not an error. */
export async function removeObject(s3: S3Bucket, key: string): Promise<void> {
  const command = new DeleteObjectCommand(s3.object(key));
  await s3.send(command);
}

/** The limit of `DeleteObjects`. */
const MAX_KEYS_PER_DELETE = 1000;

/** Removes objects: in batches, or one by one on a server that refuses batches. */
export async function removeObjects(s3: S3Bucket, keys: string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += MAX_KEYS_PER_DELETE) {
    const batch = keys.slice(start, start + MAX_KEYS_PER_DELETE);
    if (s3.server.deletesSeveral) s3.server.deletesSeveral = await removeBatch(s3, batch);
    if (!s3.server.deletesSeveral) await forEachOf(batch, (key) => removeObject(s3, key));
  }
}

/** @returns false if the server does not know such requests: nothing is removed then */
async function removeBatch(s3: S3Bucket, keys: string[]): Promise<boolean> {
  const { Bucket } = s3.object("");
  const Objects = keys.map((key) => ({ Key: s3.object(key).Key }));
  const command = new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } });
  let refused: _Error | undefined;
  try {
    await s3.request(async (client, abortable) => {
      const { Errors = [] } = await client.send(command, abortable);
      refused = Errors.find(({ Code }) => Code !== "NoSuchKey");
      if (refused !== undefined) throw refusedToDelete(refused);
    });
    return true;
  } catch (error) {
    if (refused === undefined && s3.refusesAsUnknown(error)) return false;
    throw error;
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const STATUS_OF_CODE: Record<string, number> = { AccessDenied: 403, SlowDown: 503, ServiceUnavailable: 503 };

/**
 * Converts the error of one object in a batch into the error that a separate request would have failed with.
 */
function refusedToDelete({ Code = "Unknown", Key = "", Message = "" }: _Error): Error {
  const error = Object.assign(new Error(`${Key}: ${Message}`), {
    $metadata: { httpStatusCode: STATUS_OF_CODE[Code] ?? 500 },
  });
  error.name = Code;
  return error;
}

/** Parallel requests for single objects. */
const AT_ONCE = 32;

export async function forEachOf(keys: string[], action: (key: string) => Promise<void>): Promise<void> {
  const queue = [...keys];
  const work = async () => {
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) await action(key);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, keys.length) }, work));
}

/**
 * Returns the CRC-32 of an object or part in the form of S3: big-endian, in base64.
 * Computes it unless it is known.
 */
export function crc32Base64(body: Uint8Array, known = crc32(body)): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(known);
  return bytes.toString("base64");
}

/** A longer range is fetched in parallel pieces: one connection to S3 transfers about 100 MB/s. */
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;

/** Reads an object or a range of it. Requests a truncated body again. */
export async function readS3Object(s3: S3Bucket, key: string, { range, into }: GetOptions): Promise<Buffer> {
  if (range === undefined) return readWhole(s3, key);
  const buffer = into ?? Buffer.allocUnsafe(range.length);
  const pieces: Promise<number>[] = [];
  for (let at = 0; at < range.length; at += MAX_REQUEST_BYTES) {
    const length = Math.min(MAX_REQUEST_BYTES, range.length - at);
    const memory = buffer.subarray(at, at + length);
    pieces.push(readRange(s3, key, range.offset + at, memory));
  }
  const lengths = await Promise.all(pieces);
  return buffer.subarray(
    0,
    lengths.reduce((sum, length) => sum + length, 0),
  );
}

/**
 * Reads a whole object. Only the answer shows its size, so it is charged to the limit afterwards. To wait for
 * the limit then would leave the server with an answer that no one reads.
 */
function readWhole(s3: S3Bucket, key: string): Promise<Buffer> {
  const command = new GetObjectCommand(s3.object(key));
  return s3.request(
    async (client, abortable) => {
      const response = await client.send(command, abortable);
      const sizeBytes = response.ContentLength ?? 0;
      if (sizeBytes > maxObjectBytes(key)) {
        (response.Body as Readable).destroy();
        throw objectTooLarge(s3.name, key, sizeBytes);
      }
      const buffer = Buffer.allocUnsafe(sizeBytes);
      s3.charge(buffer.length);
      await fill(response, buffer);
      return buffer;
    },
    { bytes: 0 },
  );
}

/** Reads a range into a buffer. @returns the bytes read; fewer than requested at the end of the object */
async function readRange(s3: S3Bucket, key: string, offset: number, into: Buffer): Promise<number> {
  const command = new GetObjectCommand({
    ...s3.object(key),
    Range: `bytes=${offset}-${offset + into.length - 1}`,
  });
  try {
    return await s3.request(
      async (client, abortable) => readAnswer(await client.send(command, abortable), offset, into),
      { bytes: into.length },
    );
  } catch (error) {
    if (error instanceof Error && error.name === "InvalidRange") return 0;
    throw error;
  }
}

async function readAnswer(response: GetObjectCommandOutput, offset: number, into: Buffer): Promise<number> {
  const length = response.ContentLength ?? 0;
  if (!response.ContentRange?.startsWith(`bytes ${offset}-`) || length > into.length) {
    (response.Body as Readable).destroy();
    throw new Error(
      `the server answered a request for ${into.length} bytes at ${offset} with ${response.ContentRange ?? "the whole object"}`,
    );
  }
  await fill(response, into.subarray(0, length));
  return length;
}

/** Fills a buffer with the body of an answer. @throws BodyLost */
async function fill(response: GetObjectCommandOutput, into: Buffer): Promise<void> {
  let done = 0;
  try {
    for await (const bytes of response.Body as Readable) {
      if (done + bytes.length > into.length) throw new Error("it is longer than announced");
      done += (bytes as Buffer).copy(into, done);
    }
  } catch (error) {
    throw bodyLost(
      `the answer broke off after ${done} bytes: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (done < into.length) throw bodyLost(`the answer ended after ${done} of ${into.length} bytes`);
}

/**
 * The longest wait for removals on a server that does not answer. Tests shorten it through the environment.
 */
const CLEAN_UP_MS = Number(process.env.BLOCKFERRY_CLEAN_UP_TIMEOUT_MS) || 10_000;

/**
 * The end of an operation that leaves traces on the server: first it starts nothing more, and then it waits
 * for nothing more.
 */
export class GivingUp {
  private readonly beginning = new AbortController();
  private readonly ending = new AbortController();

  /** Fires at the start of the end: after it nothing is retried, and everything that can be aborted is. */
  readonly started = this.beginning.signal;
  /**
   * Fires when the time for cleaning up is over: pending requests are aborted,
   * even if their effect stays unknown.
   */
  readonly over = this.ending.signal;

  begin(): void {
    this.beginning.abort();
    setTimeout(() => this.ending.abort(), CLEAN_UP_MS).unref();
  }
}
