import assert from "node:assert/strict";
import { copyFile, mkdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { chunkId } from "../../../repository/format/chunk.js";
import type { IndexedPack } from "../../../repository/format/index-segment.js";
import { newPackId, packKey } from "../../../repository/format/pack.js";
import { ChunkPlaces } from "../../../repository/index/chunk-places.js";
import { type LoadedIndex, loadIndex } from "../../../repository/index/load-index.js";
import { writeIndexSegment } from "../../../repository/index/segments.js";
import { recordsOf } from "../../../repository/packs/pack-reader.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { writePacks } from "../../support/packs.js";
import { SeededRandom } from "../../support/random.js";
import { tempFolder } from "../../support/temp-folder.js";

interface Fixture {
  storage: LocalDirectory;
  /** Chunks of each pack. */
  chunks: Buffer[][];
  packs: IndexedPack[];
  path(pack: number): string;
}

/** Makes a repository of three packs with ten chunks each, and without index segments. */
async function makeFixture(): Promise<Fixture> {
  const storage = new LocalDirectory(await tempFolder());
  const random = new SeededRandom("load-index");
  const chunks: Buffer[][] = [];
  const packs: IndexedPack[] = [];
  for (let pack = 0; pack < 3; pack++) {
    const payloads = Array.from({ length: 10 }, () => random.bytes(100 + random.below(5000)));
    chunks.push(payloads);
    packs.push(...(await writePacks(storage, payloads)));
  }
  return {
    storage,
    chunks,
    packs,
    path: (pack) => join(storage.name, packKey((packs[pack] as IndexedPack).id)),
  };
}

/** Asserts that exactly the chunks of these packs are in the index, and that they can be read. */
async function assertHolds({ storage, chunks, packs }: Fixture, loaded: LoadedIndex, ...held: number[]) {
  const stored = ChunkPlaces.of(storage, loaded.index, loaded.packs);
  for (const [pack, payloads] of chunks.entries()) {
    for (const payload of payloads) {
      const entry = loaded.index.find(chunkId(payload));
      assert.equal(entry >= 0, held.includes(pack), `a chunk of pack ${pack}`);
      if (entry < 0) continue;
      assert.equal(stored.packOf(entry), packs[pack]?.id);
      assert.deepEqual(await stored.read(entry), payload);
    }
  }
}

function problemsOf({ problems }: LoadedIndex) {
  return problems.map(({ code, object, offset }) => ({ code, object, offset }));
}

test("an empty repository has an empty index", async () => {
  const loaded = await loadIndex(new LocalDirectory(await tempFolder()), { condemned: "exclude" });
  assert.equal(loaded.index.size, 0);
  assert.equal(loaded.packs.count, 0);
  assert.equal(loaded.index.find(chunkId(Buffer.from("nothing"))), -1);
  assert.deepEqual(loaded.problems, []);
});

test("the index holds every chunk that the segments list", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs.slice(0, 2));
  await writeIndexSegment(fixture.storage, fixture.packs.slice(2));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(loaded.problems, []);
  assert.deepEqual(loaded.unindexedPacks, []);
  assert.equal(loaded.index.size, 30);
  assert.deepEqual(loaded.packBytes, new Map(fixture.packs.map(({ id, sizeBytes }) => [id, sizeBytes])));
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("packs that no segment names are adopted by their footers", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs.slice(0, 1));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(loaded.problems, []);
  const byId = (a: IndexedPack, b: IndexedPack) => (a.id < b.id ? -1 : 1);
  assert.deepEqual(loaded.unindexedPacks.toSorted(byId), fixture.packs.slice(1).toSorted(byId));
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("when every segment is lost the packs speak for themselves", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs);
  await rm(join(fixture.storage.name, "index"), { recursive: true });
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(loaded.problems, []);
  assert.equal(loaded.unindexedPacks.length, 3);
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("a damaged segment is reported, and its packs are adopted by their footers", async () => {
  const fixture = await makeFixture();
  const key = await writeIndexSegment(fixture.storage, fixture.packs.slice(0, 2));
  await writeIndexSegment(fixture.storage, fixture.packs.slice(2));
  const bytes = await fixture.storage.get(key);
  bytes[40] = (bytes[40] as number) ^ 1;
  await fixture.storage.put(key, bytes);
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(problemsOf(loaded), [{ code: "ObjectCorrupt", object: key, offset: 0 }]);
  assert.equal(loaded.unindexedPacks.length, 2);
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("a missing pack is reported once, and its chunks are dropped so that a backup stores them again", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs);
  await writeIndexSegment(fixture.storage, fixture.packs.slice(0, 2));
  await rm(fixture.path(1));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  const object = packKey((fixture.packs[1] as IndexedPack).id);
  assert.deepEqual(problemsOf(loaded), [{ code: "PackMissing", object, offset: 0 }]);
  await assertHolds(fixture, loaded, 0, 2);
});

test("a pack cut short, or grown, is reported with the offset, and its chunks are dropped", async () => {
  for (const change of [-1, -5000, 1]) {
    const fixture = await makeFixture();
    await writeIndexSegment(fixture.storage, fixture.packs);
    const { id, sizeBytes } = fixture.packs[0] as IndexedPack;
    await truncate(fixture.path(0), sizeBytes + change);
    const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
    const offset = Math.min(sizeBytes, sizeBytes + change);
    assert.deepEqual(problemsOf(loaded), [{ code: "PackCorrupt", object: packKey(id), offset }]);
    await assertHolds(fixture, loaded, 1, 2);
  }
});

test("a segment that gives a pack another size is not believed, whichever is read first", async () => {
  for (const staleFirst of [true, false]) {
    const fixture = await makeFixture();
    const [pack] = fixture.packs as [IndexedPack];
    const alien = Buffer.from("a chunk of another pack");
    const [other] = (await writePacks(fixture.storage, [alien])) as [IndexedPack];
    const stale = { ...pack, sizeBytes: pack.sizeBytes + 4096, footer: other.footer };
    for (const listed of staleFirst ? [stale, pack] : [pack, stale]) {
      await writeIndexSegment(fixture.storage, [listed]);
    }
    await writeIndexSegment(fixture.storage, fixture.packs.slice(1));
    const { index, packs, ...rest } = await loadIndex(fixture.storage, { condemned: "exclude" });
    const entry = index.find(chunkId(alien));
    assert.equal(packs.id(index.packNumber(entry)), other.id);
    await assertHolds(fixture, { index, packs, ...rest }, 0, 1, 2);
  }
});

test("a pack that segments list only with a wrong size is reported once, and adopted by its footer", async () => {
  const fixture = await makeFixture();
  const [pack, ...others] = fixture.packs as [IndexedPack, ...IndexedPack[]];
  for (const change of [4096, 8192]) {
    await writeIndexSegment(fixture.storage, [{ ...pack, sizeBytes: pack.sizeBytes + change }]);
  }
  await writeIndexSegment(fixture.storage, others);
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(
    loaded.problems.map(({ code, object }) => ({ code, object })),
    [{ code: "PackCorrupt", object: packKey(pack.id) }],
  );
  assert.deepEqual(loaded.unindexedPacks, [pack]);
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("a pack cut short that no segment names is reported, and the others are adopted", async () => {
  const fixture = await makeFixture();
  for (const sizeBytes of [5000, 63, 0]) {
    await truncate(fixture.path(2), sizeBytes);
    const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
    const object = packKey((fixture.packs[2] as IndexedPack).id);
    assert.deepEqual(
      loaded.problems.map((problem) => ({ code: problem.code, object: problem.object })),
      [{ code: "PackCorrupt", object }],
    );
    await assertHolds(fixture, loaded, 0, 1);
  }
});

test("a chunk of a missing pack that another pack holds too is found there", async () => {
  const fixture = await makeFixture();
  const copies = await writePacks(fixture.storage, fixture.chunks[0] as Buffer[]);
  await writeIndexSegment(fixture.storage, fixture.packs);
  await writeIndexSegment(fixture.storage, copies);
  await rm(fixture.path(0));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  const packs = [copies[0] as IndexedPack, ...fixture.packs.slice(1)];
  await assertHolds({ ...fixture, packs }, loaded, 0, 1, 2);
});

test("segments that list the same packs add nothing twice", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs);
  await writeIndexSegment(fixture.storage, fixture.packs.slice(0, 2));
  await writeIndexSegment(fixture.storage, fixture.packs.toReversed());
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(loaded.problems, []);
  assert.equal(loaded.index.size, 30);
  assert.equal(loaded.packs.count, 3);
  assert.equal(new Set([0, 1, 2].map((number) => loaded.packs.id(number))).size, 3);
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("an object in packs/ that is not a pack is left alone", async () => {
  const fixture = await makeFixture();
  await writeIndexSegment(fixture.storage, fixture.packs);
  const packs = join(fixture.storage.name, "packs");
  await writeFile(join(packs, "README.txt"), "hello");
  await mkdir(join(packs, "zz"));
  await writeFile(join(packs, "zz", newPackId()), "in the wrong folder");
  await copyFile(fixture.path(0), `${fixture.path(0)}.bak`);
  await symlink("nowhere", join(packs, "dangling"));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  assert.deepEqual(loaded.problems, []);
  assert.deepEqual(loaded.unindexedPacks, []);
  assert.equal(loaded.packBytes.size, 3);
  await assertHolds(fixture, loaded, 0, 1, 2);
});

test("a pack under another pack's name is refused", async () => {
  const fixture = await makeFixture();
  const id = newPackId();
  await mkdir(join(fixture.storage.name, "packs", id.slice(0, 2)), { recursive: true });
  await rename(fixture.path(0), join(fixture.storage.name, packKey(id)));
  const loaded = await loadIndex(fixture.storage, { condemned: "exclude" });
  const [record] = recordsOf((fixture.packs[0] as IndexedPack).footer).slice(-1);
  const offset = (record?.offset ?? 0) + (record?.storedBytes ?? 0);
  assert.deepEqual(problemsOf(loaded), [{ code: "PackCorrupt", object: packKey(id), offset }]);
  await assertHolds(fixture, loaded, 1, 2);
});
