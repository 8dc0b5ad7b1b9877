import { randomBytes } from "node:crypto";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { BlockferryError, type ErrorCode } from "../../../foundation/errors.js";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { newProofName } from "../storage.js";
import type { S3Bucket } from "./s3-bucket.js";
import { conditionalWritesIgnored, conditionalWritesRaced } from "./s3-errors.js";
import { listObjects } from "./s3-lists.js";
import { canLock } from "./s3-locks.js";
import {
  crc32Base64,
  isPreconditionFailed,
  putNewObject,
  putObject,
  readS3Object,
  removeObject,
  removeObjects,
} from "./s3-requests.js";
import { abortUpload, uploadsIfListed } from "./s3-unfinished-uploads.js";

/** Objects in the proof: more than fit on one page of its list. */
const OBJECTS = 3;
const PAGE_KEYS = 2;

/** Rounds in which several requests create one object at once, and the requests and bytes of each. */
const RACES = 2;
const RACERS = 4;
const RACE_BYTES = 1024 * 1024;

/**
 * Proves that a server does everything that any command needs: it stores, refuses to replace, lists as a
 * whole, page by page and with exact names, reads ranges, joins an upload of parts with CRC-32, and removes. A
 * server that lacks only what housekeeping needs gets notes. The objects are removed again, also after a
 * failure; if the process is killed, a later run removes them.
 * @returns notes
 * @throws StorageUnsuitable, ConditionalWritesUnsupported; StorageDenied and other errors of the requests
 */
export async function proveServer(s3: S3Bucket): Promise<string[]> {
  const keys = Array.from({ length: OBJECTS }, () => `tmp/${newProofName()}`).sort();
  const proof = new ServerProof(s3, keys as [string, ...string[]]);
  try {
    await proof.storesOnlyNew();
    await proof.letsOneWriterWin();
    await proof.listsEverything();
    await proof.readsRanges();
    await proof.joinsParts();
    await proof.removes();
  } catch (error) {
    for (const key of keys) await removeObject(s3, key).catch(() => undefined);
    throw error;
  }
  await proof.tellsLocks();
  return proof.notes;
}

/** Codes of errors that say something about the server's abilities. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["StorageFailed", "ListIncomplete", "ObjectNotFound"]);

class ServerProof {
  readonly notes: string[] = [];
  private readonly body = randomBytes(64);

  constructor(
    private readonly s3: S3Bucket,
    private readonly keys: [string, ...string[]],
  ) {}

  async storesOnlyNew(): Promise<void> {
    const [first, ...others] = this.keys;
    await this.need("store an object with its CRC-32", () => putObject(this.s3, first, this.body));
    if (await this.isFirst(first, Buffer.from("a second object")))
      throw conditionalWritesIgnored(this.s3.name, first);
    for (const key of others) {
      await this.need("store an object only if it is new (If-None-Match)", () =>
        putNewObject(this.s3, key, this.body),
      );
    }
  }

  /**
   * Lets several requests create one object at once. A server may check whether the object exists and store it
   * in two steps; large bodies keep the time between them long. Objects of concurrent runs have random names, so
   * only a server that lets several requests win in every round is refused.
   */
  async letsOneWriterWin(): Promise<void> {
    const [key] = this.keys;
    let raced = 0;
    for (let round = 0; round < RACES; round++) {
      await this.need("remove an object", () => removeObject(this.s3, key));
      const bodies = Array.from({ length: RACERS }, () => randomBytes(RACE_BYTES));
      const tries = bodies.map((body) => this.isFirst(key, body));
      const winners = (await Promise.all(tries)).flatMap((isFirst, number) => (isFirst ? [number] : []));
      if (winners.length > 1 && ++raced === RACES)
        throw conditionalWritesRaced(this.s3.name, key, winners.length);
      const stored = await this.need("read an object", () => readS3Object(this.s3, key, {}));
      if (!winners.some((winner) => stored.equals(bodies[winner] as Buffer)))
        throw this.unsuitable(
          "of several requests to create one object, the stored one is not a successful one",
        );
    }
    await this.need("replace an object", () => putObject(this.s3, key, this.body));
  }

  /** @returns whether this request has created the object */
  private async isFirst(key: string, body: Buffer): Promise<boolean> {
    return this.need("refuse to replace an object (If-None-Match)", async () => {
      try {
        await putObject(this.s3, key, body, { IfNoneMatch: "*" });
        return true;
      } catch (error) {
        if (isPreconditionFailed(error)) return false;
        throw error;
      }
    });
  }

  /** Lists in small pages, and then as a whole, as commands do. */
  async listsEverything(): Promise<void> {
    for (const pageKeys of [PAGE_KEYS, undefined]) {
      const sizes = await this.need("list objects", () => this.ownSizes(pageKeys));
      const missing = this.keys.find((key) => sizes.get(key) !== this.body.length);
      if (missing === undefined) continue;
      const other = [...sizes.keys()].find((key) => !this.keys.includes(key));
      const instead = other === undefined ? "" : `, but shows ${other}`;
      throw this.unsuitable(
        `a list does not show ${missing}, which was just stored with ${this.body.length} bytes${instead}`,
      );
    }
  }

  async readsRanges(): Promise<void> {
    const [key] = this.keys;
    const read = (offset: number, length: number) =>
      this.need("read a range of an object", () => readS3Object(this.s3, key, { range: { offset, length } }));
    const { length } = this.body;
    const inside = await read(3, 10);
    const beyond = [await read(length - 4, 10), await read(length, 10)];
    const right = [this.body.subarray(3, 13), this.body.subarray(length - 4), Buffer.alloc(0)];
    if ([inside, ...beyond].some((bytes, number) => !bytes.equals(right[number] as Buffer)))
      throw this.unsuitable("it answers with wrong bytes when asked for a range of an object");
  }

  /** Replaces the second object by an upload of one part. */
  async joinsParts(): Promise<void> {
    const key = this.keys[1] as string;
    const object = this.s3.object(key);
    const checksum = crc32Base64(this.body);
    await this.need("remove an object", () => removeObject(this.s3, key));
    const { UploadId = "" } = await this.need("begin an upload of parts with CRC-32", () =>
      this.s3.send(
        new CreateMultipartUploadCommand({ ...object, ...this.s3.encryption, ChecksumAlgorithm: "CRC32" }),
      ),
    );
    try {
      const { ETag } = await this.need("take a part with its CRC-32", () =>
        this.s3.send(
          new UploadPartCommand({
            ...{ ...object, UploadId, PartNumber: 1, ChecksumCRC32: checksum },
            ...{ Body: this.body, ContentLength: this.body.length },
          }),
        ),
      );
      await this.noteUploadList(key, UploadId);
      const Parts = [{ PartNumber: 1, ETag, ChecksumCRC32: checksum }];
      await this.need("join the parts of an upload", () =>
        this.s3.send(new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts } })),
      );
    } catch (error) {
      await abortUpload(this.s3, { key, uploadId: UploadId }).catch(() => undefined);
      throw error;
    }
    await this.need("return the size of an object", async () => {
      const { ContentLength } = await this.s3.send(new HeadObjectCommand(object));
      if (ContentLength !== this.body.length) throw this.unsuitable("it returns a wrong size of an object");
    });
    const stored = await this.need("read an object", () => readS3Object(this.s3, key, {}));
    if (!stored.equals(this.body)) throw this.unsuitable("it changed the parts of an upload");
  }

  async removes(): Promise<void> {
    await this.need("remove objects", () => removeObjects(this.s3, this.keys));
    if (!this.s3.server.deletesSeveral)
      this.notes.push(
        "The server cannot remove several objects in one request (DeleteObjects), so `prune` takes longer.",
      );
    const sizes = await this.need("list objects", () => this.ownSizes());
    if (this.keys.some((key) => sizes.has(key)))
      throw this.unsuitable("a list still shows an object that was removed");
  }

  async tellsLocks(): Promise<void> {
    try {
      await canLock(this.s3);
    } catch (error) {
      const explained = this.s3.explain("", error);
      if (explained.code !== "StorageDenied") throw explained;
      this.notes.push(
        "These credentials may not ask whether objects can be locked (s3:GetBucketObjectLockConfiguration), so `prune` asks for the lock of each pack.",
      );
    }
  }

  /** Returns the sizes of this process's objects below `tmp/`, as a list shows them. */
  private async ownSizes(pageKeys?: number): Promise<Map<string, number | undefined>> {
    const sizes = new Map<string, number | undefined>();
    for await (const { Key = "", Size } of listObjects(this.s3, `tmp/${OWNER_TOKEN}@`, pageKeys))
      sizes.set(this.s3.relative(Key), Size);
    return sizes;
  }

  /** A server without this list keeps unfinished uploads of killed runs until their records are found. */
  private async noteUploadList(key: string, id: string): Promise<void> {
    const listed = await uploadsIfListed(this.s3, "tmp/").catch((error: unknown) => {
      throw this.s3.explain(key, error);
    });
    if (listed?.some(({ UploadId }) => UploadId === id)) return;
    this.notes.push(
      "The server does not list unfinished uploads by prefix (ListMultipartUploads), so each run records its uploads below tmp/uploads/. If a run is killed right at the start of an upload, that upload stays: let the server remove unfinished uploads after some days.",
    );
  }

  /** @throws StorageUnsuitable if the server refuses; the errors of credentials, outages and the like */
  private async need<T>(ability: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      const explained = this.s3.explain(this.keys[0], error);
      if (!REFUSALS.has(explained.code)) throw explained;
      throw this.unsuitable(`it cannot ${ability}: ${explained.message.replace(/\.$/, "")}`, error);
    }
  }

  private unsuitable(reason: string, cause?: unknown): BlockferryError {
    return new BlockferryError(
      {
        code: "StorageUnsuitable",
        message: `The server of ${this.s3.name} cannot hold a repository: ${reason}.`,
        remedy:
          "Nothing stays there. Use another server (docs/reference/s3-servers.md lists tested servers), or correct the settings of this one or of the proxy before it.",
        object: this.s3.name,
      },
      cause,
    );
  }
}
