import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { allocateAligned } from "../../../native-free-io/aligned-memory.js";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { tempFileName } from "../../../repository/storage/local-temp-files.js";
import { READ_SLACK_BYTES } from "../../../repository/storage/storage.js";
import { SeededRandom } from "../../support/random.js";
import { tempFolder } from "../../support/temp-folder.js";

const MAX_OBJECT_BYTES = 40_000;

test("an object comes back as it was put, and a second put replaces it", async () => {
  const storage = new LocalDirectory(await tempFolder());
  for (const body of [Buffer.from("first"), Buffer.alloc(0), new SeededRandom("put").bytes(100_000)]) {
    await storage.put("some/deep/key", body);
    assert.ok((await storage.get("some/deep/key")).equals(body));
  }
  assert.deepEqual(await readdir(join(storage.name, "tmp")), []);
});

test("of many puts of one key at once with ifNoneMatch exactly one wins, and the others change nothing", async () => {
  const folder = await tempFolder();
  for (let round = 0; round < 5; round++) {
    const key = `points/${round}`;
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, (_, writer) =>
        new LocalDirectory(folder).put(key, Buffer.from(`writer ${writer}`), { ifNoneMatch: "*" }),
      ),
    );
    const winners = results.flatMap(({ status }, writer) => (status === "fulfilled" ? [writer] : []));
    assert.equal(winners.length, 1);
    for (const result of results) {
      if (result.status === "rejected") assert.equal(result.reason.code, "ObjectExists");
    }
    assert.equal((await new LocalDirectory(folder).get(key)).toString(), `writer ${winners[0]}`);
  }
  assert.deepEqual(await readdir(join(folder, "tmp")), []);
});

test("while an object is replaced again and again, a reader sees one whole version or another", async () => {
  const storage = new LocalDirectory(await tempFolder());
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

test("a missing object is not found, whole or in part", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const range = { offset: 0, length: 10 };
  const into = allocateAligned(10 + READ_SLACK_BYTES);
  for (const options of [{}, { range }, { range, into }]) {
    await assert.rejects(storage.get("no/such/key", options), {
      code: "ObjectNotFound",
      object: "no/such/key",
    });
  }
});

test("any range of an object is read exactly, into aligned or ordinary memory or none, and ends where the object ends", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const body = new SeededRandom("ranges").bytes(MAX_OBJECT_BYTES);
  const edge = fc.constantFrom(
    0,
    1,
    511,
    512,
    4095,
    4096,
    4097,
    8192,
    MAX_OBJECT_BYTES - 1,
    MAX_OBJECT_BYTES,
  );
  const bytes = fc.oneof(edge, fc.nat({ max: MAX_OBJECT_BYTES + 10_000 }));
  const sizes = [0, 1, 4096, 5000, MAX_OBJECT_BYTES];
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

test("a stream of parts with a tail of any length becomes one object, which appears only when it is finished", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const partBytes = 8192;
  const tail = fc.oneof(fc.constantFrom(0, 1, 511, 512, 4095, 4096, 4097), fc.nat({ max: 20_000 }));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 5 }), tail, fc.boolean(), async (parts, tailBytes, aligned) => {
      const key = `streams/${run++}`;
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
    { numRuns: 40 },
  );
  assert.deepEqual(await readdir(join(storage.name, "tmp")), []);
});

test("an aborted stream leaves nothing behind, whatever was written and even if it was never begun", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const idle = storage.putStream("aborted/idle");
  await idle.abort();
  const written = storage.putStream("aborted/written");
  await written.write(allocateAligned(8192));
  await written.abort();
  const inFlight = storage.putStream("aborted/in-flight");
  const writes = [1, 2, 3].map((byte) => inFlight.write(allocateAligned(65_536).fill(byte)));
  const settled = Promise.allSettled(writes);
  await inFlight.abort();
  await settled;
  assert.deepEqual(await storage.list("aborted/"), []);
  assert.deepEqual(await readdir(join(storage.name, "tmp")), []);
});

test("a stream whose folder cannot be made fails with the storage's error and can be aborted", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "tmp"), "a file where a folder belongs");
  const upload = new LocalDirectory(folder).putStream("packs/x");
  await assert.rejects(upload.write(Buffer.alloc(4096)), { code: "StorageFailed", object: "packs/x" });
  await assert.rejects(upload.finish(Buffer.alloc(1)), { code: "StorageFailed", object: "packs/x" });
  await upload.abort();
  assert.deepEqual(await readdir(folder), ["tmp"]);
});

test("a put whose temporary folder cannot be made fails with the storage's error too", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "tmp"), "a file where a folder belongs");
  const put = new LocalDirectory(folder).put("config.json", Buffer.from("{}"), { ifNoneMatch: "*" });
  await assert.rejects(put, { code: "StorageFailed", object: "config.json" });
});

test("temporary files of dead processes are removed, those of living ones and of other hosts are kept", async () => {
  const folder = await tempFolder();
  const tmp = join(folder, "tmp");
  await mkdir(tmp);
  const dead = spawnSync(process.execPath, ["--version"]).pid;
  const [place] = OWNER_TOKEN.split("-");
  const names = {
    deadHere: `${place}-${dead}@0011`,
    mine: tempFileName("2233"),
    livingHere: `${place}-1@4455`,
    youngElsewhere: "01234567-77@6677",
    oldElsewhere: "01234567-78@8899",
  };
  for (const name of Object.values(names)) await writeFile(join(tmp, name), "half a pack");
  const eightDaysAgo = Date.now() / 1000 - 8 * 24 * 60 * 60;
  await utimes(join(tmp, names.oldElsewhere), eightDaysAgo, eightDaysAgo);
  await utimes(join(tmp, names.mine), eightDaysAgo, eightDaysAgo);
  await new LocalDirectory(folder).beginUploads();
  const kept = [names.mine, names.livingHere, names.youngElsewhere];
  assert.deepEqual((await readdir(tmp)).sort(), kept.sort());
});

test("a storage that was never written to has nothing stale and lists nothing", async () => {
  const storage = new LocalDirectory(join(await tempFolder(), "missing"));
  await storage.beginUploads();
  assert.deepEqual(await storage.list("packs/"), []);
});

test("list gives every object below its prefix with its size, sorted, and nothing else", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const objects: Record<string, number> = {
    "packs/3f/b": 3,
    "packs/3f/a": 0,
    "packs/a0/c": 70_000,
    "packs/z": 1,
  };
  for (const [key, sizeBytes] of Object.entries(objects)) await storage.put(key, Buffer.alloc(sizeBytes));
  await storage.put("packs2/x", Buffer.alloc(1));
  await storage.put("config.json", Buffer.alloc(1));
  await mkdir(join(storage.name, "packs", "empty"));
  await symlink("z", join(storage.name, "packs", "link"));
  assert.deepEqual(
    await storage.list("packs/"),
    ["packs/3f/a", "packs/3f/b", "packs/a0/c", "packs/z"].map((key) => ({ key, sizeBytes: objects[key] })),
  );
});

test("objects removed while they are listed do not hide the others", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const folder = join(storage.name, "packs");
  await mkdir(folder);
  const names = Array.from({ length: 400 }, (_, number) => `${number % 2 === 0 ? "keep" : "gone"}-${number}`);
  for (const name of names) await writeFile(join(folder, name), name);
  const listing = storage.list("packs/");
  await Promise.all(names.filter((name) => name.startsWith("gone")).map((name) => rm(join(folder, name))));
  const listed = new Set((await listing).map(({ key }) => key));
  const hidden = names.filter((name) => name.startsWith("keep") && !listed.has(`packs/${name}`));
  assert.deepEqual(hidden, []);
});

test("a put that cannot be written says why, and leaves nothing", async () => {
  const folder = await tempFolder();
  const storage = new LocalDirectory(folder);
  await storage.put("packs", Buffer.from("a file where a folder belongs"));
  await assert.rejects(storage.put("packs/3f/x", Buffer.from("x")), { code: "StorageFailed" });
  await assert.rejects(storage.get("packs/3f/x"), { code: "StorageFailed" });
  assert.deepEqual(await readdir(join(folder, "tmp")), []);
  assert.equal(await readFile(join(folder, "packs"), "utf8"), "a file where a folder belongs");
});

test("what is stored is for its owner alone, whatever the umask", async () => {
  const umask = process.umask(0);
  try {
    const storage = new LocalDirectory(join(await tempFolder(), "new", "repo"));
    await storage.put("index/object", Buffer.from("put"));
    const upload = storage.putStream("packs/00/pack");
    await upload.finish(Buffer.from("streamed"));
    const modeOf = async (path: string) => (await stat(join(storage.name, path))).mode & 0o777;
    for (const file of ["index/object", "packs/00/pack"]) assert.equal(await modeOf(file), 0o600, file);
    for (const folder of ["", "index", "packs", "packs/00"])
      assert.equal(await modeOf(folder), 0o700, folder);
  } finally {
    process.umask(umask);
  }
});
