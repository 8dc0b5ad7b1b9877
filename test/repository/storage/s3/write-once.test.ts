import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { openStorage } from "../../../../repository/storage/open-storage.js";
import { parseS3Location, type S3Options } from "../../../../repository/storage/s3/s3-location.js";
import type { Storage } from "../../../../repository/storage/storage.js";
import { errorBody, type ProxiedRequest, startFaultProxy } from "../../../support/fault-proxy.js";
import { SeededRandom } from "../../../support/random.js";
import { S3Objects } from "../../../support/s3-objects.js";
import { BUCKET, needingServer, startS3Server } from "../../../support/s3-server.js";

const MIB = 1024 * 1024;
const OWNER = "111122223333";

const isCompletion = ({ method, url }: ProxiedRequest) => method === "POST" && url.includes("uploadId=");
const isCondition = ({ headers }: ProxiedRequest) => headers["if-none-match"] === "*";

for (const name of ["versitygw", "moto"] as const) {
  describe(`packs and segments in ${name}`, needingServer(name), async () => {
    const server = await startS3Server(name);
    const proxy = await startFaultProxy(server.endpointUrl);
    const objects = new S3Objects(server.endpointUrl);

    async function open(options: S3Options = {}): Promise<{ storage: Storage; prefix: string }> {
      proxy.chooseFault = () => undefined;
      proxy.requests.length = 0;
      const prefix = randomBytes(6).toString("hex");
      const location = parseS3Location(`s3://${BUCKET}/${prefix}`, {
        ...{ endpointUrl: proxy.endpointUrl, addressing: "path", ...options },
      });
      return { storage: await openStorage(location), prefix: `${prefix}/` };
    }

    async function upload(storage: Storage, key: string, body: Buffer, partBytes = 8 * MIB): Promise<void> {
      const stream = storage.putStream(key);
      let at = 0;
      for (; at + partBytes < body.length; at += partBytes)
        await stream.write(body.subarray(at, at + partBytes));
      await stream.finish(body.subarray(at)).catch(async (error: unknown) => {
        await stream.abort();
        throw error;
      });
    }

    for (const [what, sizeBytes] of [
      ["a small pack", 100_000],
      ["a pack in parts", 9 * MIB],
    ] as const) {
      test(`${what} is stored only if its name is free`, async () => {
        const { storage, prefix } = await open();
        const body = SeededRandom.fresh().bytes(sizeBytes);
        await upload(storage, "packs/00/one", body);
        const last = proxy.requests
          .filter((request) => request.method === "PUT" || isCompletion(request))
          .at(-1);
        assert.ok(last !== undefined && isCondition(last), JSON.stringify(last?.headers));
        assert.ok((await objects.get(`${prefix}packs/00/one`)).equals(body));
      });

      test(`${what} whose answer was lost is stored once, without an error`, async () => {
        const { storage, prefix } = await open();
        const body = SeededRandom.fresh().bytes(sizeBytes);
        let lost = 0;
        proxy.chooseFault = (request) => {
          const isLast = sizeBytes > 8 * MIB ? isCompletion(request) : request.method === "PUT";
          return isLast && lost++ === 0 ? "lose-response" : undefined;
        };
        await upload(storage, "packs/00/one", body);
        assert.equal(lost, 2);
        assert.ok((await objects.get(`${prefix}packs/00/one`)).equals(body));
        assert.deepEqual(await objects.uploads(prefix), []);
      });
    }

    // Moto ignores the condition at the end of an upload, and the owner of the bucket.
    const heeds = name === "versitygw";
    test("a pack in parts replaces no object of its name", { skip: !heeds }, async () => {
      const { storage, prefix } = await open();
      const [planted, body] = [SeededRandom.fresh().bytes(9 * MIB), SeededRandom.fresh().bytes(9 * MIB)];
      await objects.put(`${prefix}packs/00/one`, planted);
      await assert.rejects(upload(storage, "packs/00/one", body), { code: "ObjectExists" });
      assert.ok((await objects.get(`${prefix}packs/00/one`)).equals(planted));
      assert.deepEqual(await objects.uploads(prefix), []);
    });

    test("a small pack replaces no object of its name", async () => {
      const { storage, prefix } = await open();
      const planted = SeededRandom.fresh().bytes(1000);
      await objects.put(`${prefix}packs/00/one`, planted);
      await assert.rejects(upload(storage, "packs/00/one", Buffer.alloc(1000)), { code: "ObjectExists" });
      assert.ok((await objects.get(`${prefix}packs/00/one`)).equals(planted));
    });

    test("packs go to a server without If-None-Match at the end of uploads, which is asked for it once", async () => {
      const { storage, prefix } = await open();
      proxy.chooseFault = (request) =>
        isCompletion(request) && isCondition(request)
          ? { status: 501, body: errorBody("NotImplemented") }
          : undefined;
      const body = SeededRandom.fresh().bytes(9 * MIB);
      for (const key of ["packs/00/one", "packs/00/two"]) {
        await upload(storage, key, body);
        assert.ok((await objects.get(`${prefix}${key}`)).equals(body));
      }
      assert.deepEqual(proxy.requests.filter(isCompletion).map(isCondition), [true, false, false]);
    });

    test("nothing goes to a bucket of another account", { skip: !heeds }, async () => {
      const { storage, prefix } = await open({ bucketOwner: OWNER });
      const remedy = new RegExp(`account ${OWNER} \\(--bucket-owner\\)`);
      await assert.rejects(storage.put("points/one.json", Buffer.from("{}")), {
        code: "StorageDenied",
        remedy,
      });
      assert.deepEqual(await objects.keys(prefix), []);
    });

    // Versitygw checks the owner, and its buckets belong to an access key.
    test("every request names the account that the bucket must belong to", { skip: heeds }, async () => {
      const { storage } = await open({ bucketOwner: OWNER });
      const session = await storage.beginUploads();
      await upload(storage, "packs/00/one", SeededRandom.fresh().bytes(9 * MIB));
      await storage.put("points/one.json", Buffer.from("{}"), { ifNoneMatch: "*" });
      await storage.get("points/one.json");
      await storage.list("points/");
      await storage.lockedUntil(["points/one.json"]);
      await storage.putStream("packs/00/two").abort();
      await storage.delete(["points/one.json"]);
      await session.end();
      assert.ok(proxy.requests.length > 10);
      for (const { method, url, headers } of proxy.requests) {
        assert.equal(headers["x-amz-expected-bucket-owner"], OWNER, `${method} ${url}`);
        assert.match(String(headers.authorization), /x-amz-expected-bucket-owner/, "it is signed");
      }
    });
  });
}

describe("the account of a bucket", () => {
  for (const account of ["1111222233334", "11112222333", "alias", "1111-2222-3333", ""]) {
    test(`is not ${JSON.stringify(account)}`, () => {
      assert.throws(() => parseS3Location("s3://backups/fleet", { bucketOwner: account }), { code: "Usage" });
    });
  }
});
