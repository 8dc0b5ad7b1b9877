import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { allocateAligned } from "../../../native-free-io/block-source.js";
import { maxObjectBytes } from "../../../repository/format/object-bounds.js";
import { isThere } from "../../../repository/storage/read-object.js";
import { READ_SLACK_BYTES, type Storage, type StoredObject } from "../../../repository/storage/storage.js";
import { SeededRandom } from "../../support/random.js";
import { MISDATES } from "../../support/s3-server.js";

const MAX_OBJECT_BYTES = 40_000;

/** A kind of storage under test. */
interface StorageKind {
  name: string;
  /** Makes an empty storage; `reopen` opens it again, as another process would. */
  make(): Promise<{ storage: Storage; reopen(): Promise<Storage> }>;
  /** Returns the remains of unfinished work in the storage: temporary files, multipart uploads. */
  leftovers(storage: Storage): Promise<string[]>;
  /** The smallest part that the storage accepts. */
  partBytes: number;
  /** Repetitions of a property that stores parts in each run. */
  streamRuns: number;
  /** Whether the storage reports the true start time of an upload. */
  datesUploads: boolean;
}

/** Tests the behavior that every storage must have. */
export function testStorage({
  name,
  make,
  leftovers,
  partBytes,
  streamRuns,
  datesUploads,
}: StorageKind): void {
  describe(`a storage in ${name}`, () => {
    test("returns an object as it was put, and a second put replaces it", async () => {
      const { storage } = await make();
      for (const body of [Buffer.from("first"), Buffer.alloc(0), new SeededRandom("put").bytes(100_000)]) {
        await storage.put("some/deep/key", body);
        assert.ok((await storage.get("some/deep/key")).equals(body));
      }
      assert.deepEqual(await leftovers(storage), []);
    });

    test("lets exactly one of many puts with ifNoneMatch win, and the others change nothing", async () => {
      const { storage, reopen } = await make();
      for (let round = 0; round < 5; round++) {
        const key = `points/${round}`;
        const writers = await Promise.all(Array.from({ length: 20 }, reopen));
        const results = await Promise.allSettled(
          writers.map((writer, number) =>
            writer.put(key, Buffer.from(`writer ${number}`), { ifNoneMatch: "*" }),
          ),
        );
        const winners = results.flatMap(({ status }, writer) => (status === "fulfilled" ? [writer] : []));
        assert.equal(winners.length, 1);
        for (const result of results) {
          if (result.status === "rejected") assert.equal(result.reason.code, "ObjectExists");
        }
        assert.equal((await storage.get(key)).toString(), `writer ${winners[0]}`);
      }
      assert.deepEqual(await leftovers(storage), []);
    });

    test("proves that it refuses to replace an object, and leaves nothing of the proof", async () => {
      const { storage } = await make();
      await storage.prove();
      assert.deepEqual(await leftovers(storage), []);
    });

    test("shows a reader one whole version or another of an object that is replaced again and again", async () => {
      const { storage } = await make();
      const versions = [Buffer.alloc(300_000, "a"), Buffer.alloc(200_000, "b")];
      await storage.put("key", versions[0] as Buffer);
      const writing = { done: false };
      const writer = (async () => {
        for (let round = 1; round < 30; round++) await storage.put("key", versions[round % 2] as Buffer);
        writing.done = true;
      })();
      let reads = 0;
      for (; !writing.done; reads++) {
        const seen = await storage.get("key");
        assert.ok(versions.some((version) => version.equals(seen)));
      }
      await writer;
      assert.ok(reads > 0);
    });

    test("does not find a missing object, whole or in part", async () => {
      const { storage } = await make();
      const range = { offset: 0, length: 10 };
      const into = allocateAligned(10 + READ_SLACK_BYTES);
      for (const options of [{}, { range }, { range, into }]) {
        await assert.rejects(storage.get("no/such/key", options), {
          code: "ObjectNotFound",
          object: "no/such/key",
        });
      }
    });

    test("reads any range exactly, into aligned or ordinary memory or none, and ends where the object ends", async () => {
      const { storage } = await make();
      const body = new SeededRandom("ranges").bytes(MAX_OBJECT_BYTES);
      const sizes = [0, 1, 4096, 5000, MAX_OBJECT_BYTES];
      const edges = [0, 1, 511, 512, 4095, 4096, 4097, 8192, MAX_OBJECT_BYTES - 1, MAX_OBJECT_BYTES];
      const bytes = fc.oneof(fc.constantFrom(...edges), fc.nat({ max: MAX_OBJECT_BYTES + 10_000 }));
      for (const size of sizes) await storage.put(`objects/${size}`, body.subarray(0, size));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...sizes),
          bytes,
          bytes,
          fc.constantFrom("none", "aligned", "odd"),
          async (size, offset, length, memory) => {
            const room = length + READ_SLACK_BYTES;
            const range = { offset, length };
            const into = memory === "aligned" ? allocateAligned(room) : Buffer.alloc(room + 1).subarray(1);
            into.fill(0xee);
            const options = memory === "none" ? { range } : { range, into };
            const read = await storage.get(`objects/${size}`, options);
            assert.ok(read.equals(body.subarray(0, size).subarray(offset, offset + length)));
            if ("into" in options)
              assert.equal(read.buffer, options.into.buffer, "the result is a view of `into`");
          },
        ),
        { numRuns: 300 },
      );
    });

    test("reads no object whole that is larger than its key allows, and still lists it, reads parts of it and removes it", async () => {
      const { storage } = await make();
      const key = "config.json";
      const maxBytes = maxObjectBytes(key);
      const stored = async (bytes: Buffer) => {
        const upload = storage.putStream(key);
        for (let at = 0; at + partBytes < bytes.length; at += partBytes)
          await upload.write(bytes.subarray(at, at + partBytes));
        await upload.finish(bytes.subarray(bytes.length - ((bytes.length - 1) % partBytes) - 1));
      };
      await stored(Buffer.alloc(maxBytes));
      assert.equal((await storage.get(key)).length, maxBytes);
      await storage.delete([key]);
      await stored(Buffer.alloc(maxBytes + 1));
      const told = { code: "ObjectCorrupt", object: key, offset: maxBytes, message: /it has 1048577 bytes/ };
      await assert.rejects(storage.get(key), told);
      assert.equal((await storage.get(key, { range: { offset: maxBytes, length: 10 } })).length, 1);
      const everything = await storage.list("");
      assert.deepEqual(withoutDates(everything), [{ key, sizeBytes: maxBytes + 1 }]);
      await storage.delete([key]);
      await assert.rejects(storage.get(key), { code: "ObjectNotFound" });
    });

    test("writes no object that would be too large to be read again", async () => {
      const { storage } = await make();
      const key = "locks/0123456789abcdef.json";
      const body = Buffer.alloc(maxObjectBytes(key) + 1);
      await assert.rejects(storage.put(key, body), { code: "StorageFailed", object: key });
      await assert.rejects(storage.get(key), { code: "ObjectNotFound" });
      await storage.put(key, body.subarray(1));
    });

    test("reports that a name is taken, however large its object is", async () => {
      const { storage } = await make();
      const key = "config.json";
      await storage.putStream(key).finish(Buffer.alloc(maxObjectBytes(key) + 1));
      const writing = storage.put(key, Buffer.from("another"), { ifNoneMatch: "*" });
      await assert.rejects(writing, { code: "ObjectExists" });
      assert.equal(await isThere(storage, key), true);
      assert.equal(await isThere(storage, "keys/0123456789abcdef.json"), false);
    });

    test("makes one object of a stream of parts with a tail of any length, and only when it is finished", async () => {
      const { storage } = await make();
      const tail = fc.oneof(fc.constantFrom(0, 1, 511, 512, 4095, 4096, 4097), fc.nat({ max: 20_000 }));
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat({ max: 5 }), tail, fc.boolean(), async (parts, tailBytes, aligned) => {
          const key = `packs/${run++}`;
          const body = new SeededRandom(key).bytes(parts * partBytes + tailBytes);
          const memory = aligned ? allocateAligned(body.length) : Buffer.alloc(body.length + 1).subarray(1);
          body.copy(memory);
          const upload = storage.putStream(key);
          const writes = Array.from({ length: parts }, (_, part) =>
            upload.write(memory.subarray(part * partBytes, (part + 1) * partBytes)),
          );
          await Promise.all(writes);
          await assert.rejects(storage.get(key), { code: "ObjectNotFound" });
          await upload.finish(memory.subarray(parts * partBytes));
          assert.ok((await storage.get(key)).equals(body));
        }),
        { numRuns: streamRuns },
      );
      assert.deepEqual(await leftovers(storage), []);
    });

    test("keeps nothing of an aborted stream, whatever was written and even if it was never started", async () => {
      const { storage } = await make();
      const idle = storage.putStream("aborted/idle");
      await idle.abort();
      const written = storage.putStream("aborted/written");
      await written.write(allocateAligned(partBytes));
      await written.abort();
      const inFlight = storage.putStream("aborted/in-flight");
      const writes = [1, 2, 3].map((byte) => inFlight.write(allocateAligned(partBytes).fill(byte)));
      const settled = Promise.allSettled(writes);
      await inFlight.abort();
      await settled;
      assert.deepEqual(await storage.list("aborted/"), []);
      assert.deepEqual(await leftovers(storage), []);
    });

    test("lists every object below a prefix with its size, sorted, and nothing else", async () => {
      const { storage } = await make();
      const objects: Record<string, number> = {
        "packs/3f/b": 3,
        "packs/3f/a": 0,
        "packs/a0/c": 70_000,
        "packs/z": 1,
      };
      for (const [key, sizeBytes] of Object.entries(objects)) await storage.put(key, Buffer.alloc(sizeBytes));
      await storage.put("packs2/x", Buffer.alloc(1));
      await storage.put("config.json", Buffer.alloc(1));
      const listed = await storage.list("packs/");
      for (const { modifiedAt } of listed) assert.ok(Math.abs(Date.now() - Number(modifiedAt)) < 3_600_000);
      assert.deepEqual(
        withoutDates(listed),
        ["packs/3f/a", "packs/3f/b", "packs/a0/c", "packs/z"].map((key) => ({
          key,
          sizeBytes: objects[key],
        })),
      );
    });

    test("removes the given objects, also missing ones, and nothing else", async () => {
      const { storage, reopen } = await make();
      const keys = Array.from({ length: 1005 }, (_, number) => `index/${String(number).padStart(5, "0")}`);
      for (let start = 0; start < keys.length; start += 100) {
        await Promise.all(keys.slice(start, start + 100).map((key) => storage.put(key, Buffer.from("x"))));
      }
      await storage.put("points/kept", Buffer.from("kept"));
      await storage.delete([...keys, "index/none", "nowhere/none"]);
      await storage.delete([]);
      assert.deepEqual(await (await reopen()).list("index/"), []);
      assert.equal((await storage.get("points/kept")).toString(), "kept");
    });

    test("lists more objects than one request gives", async () => {
      const { storage } = await make();
      const keys = Array.from({ length: 1050 }, (_, number) => `index/${String(number).padStart(5, "0")}`);
      const left = [...keys];
      const putNext = async () => {
        for (let key = left.pop(); key !== undefined; key = left.pop())
          await storage.put(key, Buffer.from("x"));
      };
      await Promise.all(Array.from({ length: 16 }, putNext));
      assert.deepEqual(
        (await storage.list("index/")).map(({ key }) => key),
        keys,
      );
    });

    test("that was never written to lists nothing, and has nothing to clean up", async () => {
      const { storage } = await make();
      assert.deepEqual(await storage.list("packs/"), []);
      const session = await storage.beginUploads();
      await session.end();
      assert.deepEqual(await leftovers(storage), []);
    });

    const aliveTogether = datesUploads ? {} : { skip: MISDATES };
    test("leaves the uploads of a run alone while that lives", aliveTogether, async () => {
      const { storage, reopen } = await make();
      const session = await storage.beginUploads();
      const upload = storage.putStream("packs/00/living");
      await upload.write(allocateAligned(partBytes));
      const other = await (await reopen()).beginUploads();
      await upload.finish(Buffer.from("tail"));
      assert.equal((await storage.get("packs/00/living")).length, partBytes + 4);
      await other.end();
      await session.end();
      assert.deepEqual(await leftovers(storage), []);
    });
  });
}

/** Removes the dates of objects, which only the storage knows. */
export function withoutDates(objects: StoredObject[]): StoredObject[] {
  return objects.map(({ key, sizeBytes }) => ({ key, sizeBytes }));
}
