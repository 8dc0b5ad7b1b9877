import assert from "node:assert/strict";
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { BlockferryError } from "../../../foundation/errors.js";
import { chunkId } from "../../../repository/format/chunk.js";
import { packKey } from "../../../repository/format/pack.js";
import { writeIndexSegment } from "../../../repository/index/segments.js";
import { StoredChunks } from "../../../repository/index/stored-chunks.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { writePacks } from "../../support/packs.js";
import { hidePacks, withOtherIds } from "../../support/plant-pack.js";
import { tempFolder } from "../../support/temp-folder.js";

const CHUNK = Buffer.from("a chunk that is stored twice");

async function emptyStorage() {
  return new LocalDirectory(await tempFolder());
}

test("a chunk is read from its other place when the first is damaged, and the damage is reported", async () => {
  const storage = await emptyStorage();
  const packs = [...(await writePacks(storage, [CHUNK])), ...(await writePacks(storage, [CHUNK]))];
  await writeIndexSegment(storage, packs);
  const stored = await StoredChunks.load(storage, { condemned: "exclude" });
  const entry = stored.index.find(chunkId(CHUNK));
  const first = packKey(stored.packOf(entry));
  await truncate(join(storage.name, first), 40);
  const reported: unknown[] = [];
  assert.deepEqual(await stored.read(entry, (error) => reported.push(error)), CHUNK);
  assert.deepEqual(
    reported.map((error) => (error as BlockferryError).object),
    [first],
  );
  assert.deepEqual(await stored.read(entry, (error) => reported.push(error)), CHUNK);
  assert.equal(reported.length, 1, "the good place is remembered");
});

test("a search finds hidden chunks in the packs and reports the segments that hid them, once", async () => {
  const storage = await emptyStorage();
  await writeIndexSegment(storage, await writePacks(storage, [CHUNK]));
  const segments = await hidePacks(storage, withOtherIds);
  const stored = await StoredChunks.load(storage, { condemned: "exclude" });
  const hiding: string[] = [];
  const search = (id: Buffer) =>
    stored.search({
      attempt: async () => stored.index.find(id),
      isComplete: (entry) => entry >= 0,
      onFalseSegment: ({ code, object }) => hiding.push(`${code} ${object}`),
    });
  assert.deepEqual(await stored.read(await search(chunkId(CHUNK))), CHUNK);
  assert.deepEqual(
    hiding,
    segments.map((key) => `IndexFalse ${key}`),
  );
  assert.equal(await search(Buffer.alloc(32, 1)), -1);
  assert.equal(hiding.length, segments.length);
});

test("a search throws the error of its first attempt when no pack hides a chunk", async () => {
  const storage = await emptyStorage();
  const packs = await writePacks(storage, [CHUNK]);
  await writeIndexSegment(storage, packs);
  const stored = await StoredChunks.load(storage, { condemned: "exclude" });
  const entry = stored.index.find(chunkId(CHUNK));
  await truncate(join(storage.name, packKey(stored.packOf(entry))), 40);
  let attempts = 0;
  const attempt = () => {
    attempts++;
    return stored.read(entry);
  };
  await assert.rejects(stored.search({ attempt, onFalseSegment: assert.fail }), { code: "ChunkCorrupt" });
  assert.equal(attempts, 1);
});
