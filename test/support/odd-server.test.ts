import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import {
  behaveAs,
  describeOddity,
  ODDITY_NAMES,
  type OddityName,
  oddServer,
  PAGE_OBJECTS,
  QUOTA_BYTES,
} from "./odd-server.js";
import { BUCKET } from "./s3-server.js";

const Bucket = BUCKET;

describe("a server that", async () => {
  const proxy = await oddServer("list-folds-case");
  const client = new S3Client({
    endpoint: proxy.endpointUrl,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });

  /** Runs an action that the oddity changes, and the same action on the server without it. */
  type Check = (prefix: string, isOdd: boolean) => Promise<void>;

  const put = (Key: string, fields: object = {}) =>
    client.send(new PutObjectCommand({ Bucket, Key, Body: "body", ...fields }));
  const list = (Prefix: string, fields: object = {}): Promise<ListObjectsV2CommandOutput> =>
    client.send(new ListObjectsV2Command({ Bucket, Prefix, ...fields }));
  const listedKeys = ({ Contents = [] }: ListObjectsV2CommandOutput) => Contents.map(({ Key }) => Key);
  const putMany = (prefix: string) =>
    Promise.all(Array.from({ length: PAGE_OBJECTS + 5 }, (_, number) => put(`${prefix}${number}`)));
  const refused = async (isOdd: boolean, status: number, code: string, action: () => Promise<unknown>) => {
    if (!isOdd) return void (await action());
    await assert.rejects(action(), (error: S3ServiceException) => {
      assert.deepEqual([error.$metadata.httpStatusCode, error.name], [status, code]);
      return true;
    });
  };

  const listUploads = (Prefix: string) => client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
  const uploadsRefused =
    (status: number, code: string): Check =>
    (prefix, isOdd) =>
      refused(isOdd, status, code, () => listUploads(prefix));
  const uploadsListed =
    (byPrefix: number, byKey: number): Check =>
    async (prefix, isOdd) => {
      const Key = `${prefix}upload`;
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
      const counts = [];
      for (const asked of [prefix, Key]) counts.push((await listUploads(asked)).Uploads?.length ?? 0);
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      assert.deepEqual(counts, isOdd ? [byPrefix, byKey] : [1, 1]);
    };
  const lockRefused =
    (status: number, code: string): Check =>
    (_prefix, isOdd) => {
      const ask = () => client.send(new GetObjectLockConfigurationCommand({ Bucket }));
      return isOdd
        ? refused(true, status, code, ask)
        : assert.rejects(ask(), { name: "ObjectLockConfigurationNotFoundError" });
    };
  const deleteRefused =
    (status: number, code: string): Check =>
    async (prefix, isOdd) => {
      await put(`${prefix}one`);
      const Delete = { Objects: [{ Key: `${prefix}one` }] };
      await refused(isOdd, status, code, () => client.send(new DeleteObjectsCommand({ Bucket, Delete })));
      assert.equal((await list(prefix)).KeyCount, isOdd ? 1 : 0);
    };
  const crcRefused =
    (status: number, code: string): Check =>
    async (prefix, isOdd) => {
      const ChecksumAlgorithm = "CRC32" as const;
      await refused(isOdd, status, code, () => put(`${prefix}one`, { ChecksumAlgorithm }));
      const command = new CreateMultipartUploadCommand({ Bucket, Key: `${prefix}two`, ChecksumAlgorithm });
      await refused(isOdd, status, code, async () => {
        const { UploadId } = await client.send(command);
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key: `${prefix}two`, UploadId }));
      });
      await put(`${prefix}three`);
    };
  const quota =
    (status: number, code: string): Check =>
    async (prefix, isOdd) => {
      await put(`${prefix}small`);
      const Body = Buffer.alloc(QUOTA_BYTES);
      await refused(isOdd, status, code, () => put(`${prefix}large`, { Body }));
      await refused(isOdd, status, code, async () => {
        const Key = `${prefix}parts`;
        const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
        await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body }));
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      });
      assert.deepEqual(
        listedKeys(await list(prefix)),
        isOdd ? [`${prefix}small`] : [`${prefix}large`, `${prefix}small`],
      );
    };
  const firstPage =
    (see: (page: ListObjectsV2CommandOutput) => unknown, odd: unknown, plain: unknown): Check =>
    async (prefix, isOdd) => {
      await putMany(prefix);
      assert.deepEqual(see(await list(prefix)), isOdd ? odd : plain);
    };
  const everything = PAGE_OBJECTS + 5;

  const checks: Record<OddityName, Check> = {
    "list-uploads-501": uploadsRefused(501, "NotImplemented"),
    "list-uploads-405": uploadsRefused(405, "MethodNotAllowed"),
    "list-uploads-404": uploadsRefused(404, "NoSuchKey"),
    "list-uploads-exact-key": uploadsListed(0, 1),
    "list-uploads-empty": uploadsListed(0, 0),
    "object-lock-501": lockRefused(501, "NotImplemented"),
    "object-lock-404": lockRefused(404, "NoSuchObjectLockConfiguration"),
    "object-lock-400": lockRefused(400, "InvalidRequest"),
    "delete-objects-501": deleteRefused(501, "NotImplemented"),
    "delete-objects-405": deleteRefused(405, "MethodNotAllowed"),
    "delete-objects-400": deleteRefused(400, "MalformedXML"),
    "if-none-match-501": (prefix, isOdd) =>
      refused(isOdd, 501, "NotImplemented", () => put(`${prefix}one`, { IfNoneMatch: "*" })),
    "if-none-match-ignored": async (prefix, isOdd) => {
      await put(`${prefix}one`);
      const again = () => put(`${prefix}one`, { IfNoneMatch: "*" });
      await (isOdd ? again() : refused(true, 412, "PreconditionFailed", again));
    },
    "range-ignored": async (prefix, isOdd) => {
      await put(`${prefix}one`);
      const command = new GetObjectCommand({ Bucket, Key: `${prefix}one`, Range: "bytes=1-2" });
      const { Body, ContentRange, $metadata } = await client.send(command);
      const seen = [$metadata.httpStatusCode, ContentRange, await Body?.transformToString()];
      assert.deepEqual(seen, isOdd ? [200, undefined, "body"] : [206, "bytes 1-2/4", "od"]);
    },
    "list-small-pages": async (prefix, isOdd) => {
      await putMany(prefix);
      const first = await list(prefix);
      assert.deepEqual(
        [first.KeyCount, first.IsTruncated],
        isOdd ? [PAGE_OBJECTS, true] : [everything, false],
      );
      if (!isOdd) return;
      const second = await list(prefix, { ContinuationToken: first.NextContinuationToken });
      assert.deepEqual([second.KeyCount, second.IsTruncated], [5, false]);
    },
    "list-without-is-truncated": firstPage(
      (page) => [page.KeyCount, page.IsTruncated, page.NextContinuationToken !== undefined],
      [PAGE_OBJECTS, undefined, true],
      [everything, false, false],
    ),
    "list-without-token": firstPage(
      (page) => [page.KeyCount, page.IsTruncated, page.NextContinuationToken],
      [PAGE_OBJECTS, true, undefined],
      [everything, false, undefined],
    ),
    "list-ignores-token": async (prefix, isOdd) => {
      await putMany(prefix);
      const first = await list(prefix, { MaxKeys: PAGE_OBJECTS });
      const second = await list(prefix, {
        MaxKeys: PAGE_OBJECTS,
        ContinuationToken: first.NextContinuationToken,
      });
      assert.equal(listedKeys(first).join() === listedKeys(second).join(), isOdd);
    },
    "list-capped": firstPage(
      (page) => [listedKeys(page).length, page.IsTruncated, page.NextContinuationToken],
      [PAGE_OBJECTS, false, undefined],
      [everything, false, undefined],
    ),
    "list-folds-case": async (prefix, isOdd) => {
      await put(`${prefix}One`);
      assert.deepEqual(listedKeys(await list(prefix)), [`${prefix}${isOdd ? "one" : "One"}`]);
    },
    "list-omits-newest": async (prefix, isOdd) => {
      const [one, two] = [`${prefix}one`, `${prefix}two`];
      await put(one);
      assert.deepEqual(listedKeys(await list(prefix)), isOdd ? [] : [one]);
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: two }));
      const part = { Bucket, Key: two, UploadId, PartNumber: 1, Body: "body" };
      const { ETag } = await client.send(new UploadPartCommand(part));
      assert.deepEqual(listedKeys(await list(prefix)), isOdd ? [] : [one]);
      const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
      await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: two, UploadId, MultipartUpload }));
      assert.deepEqual(listedKeys(await list(prefix)), isOdd ? [one] : [one, two]);
    },
    "crc32-501": crcRefused(501, "NotImplemented"),
    "crc32-400": crcRefused(400, "InvalidArgument"),
    "quota-ceph": quota(403, "QuotaExceeded"),
    "quota-minio": quota(400, "XMinioAdminBucketQuotaExceeded"),
  };

  for (const name of ODDITY_NAMES) {
    test(`${describeOddity(name)}, only while it has that oddity`, async () => {
      for (const isOdd of [true, false]) {
        behaveAs(proxy, isOdd ? name : undefined);
        await checks[name](`${randomBytes(6).toString("hex")}/`, isOdd);
      }
    });
  }
});
