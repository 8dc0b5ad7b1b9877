import assert from "node:assert/strict";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { allocateAligned } from "../../../native-free-io/block-source.js";
import { CHUNK_BYTES, chunkId, ENCODING, PACK_HEADER_BYTES } from "../../../repository/format/chunk.js";
import { checkStoredBytes, decodeChunk, NO_CIPHER } from "../../../repository/format/chunk-codec.js";
import type { IndexedPack } from "../../../repository/format/index-segment.js";
import {
  MAX_CHUNKS_PER_PACK,
  PACK_TRAILER_BYTES,
  PLAIN_LAYOUT,
  packHeader,
  packKey,
} from "../../../repository/format/pack.js";
import { readPackFooter, recordsOf } from "../../../repository/packs/pack-reader.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../../repository/packs/pack-writer.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import type { Storage, Upload } from "../../../repository/storage/storage.js";
import { fullDepthOnly } from "../../support/depth.js";
import { writePacks } from "../../support/packs.js";
import { SeededRandom } from "../../support/random.js";
import { tempFolder } from "../../support/temp-folder.js";

/** Small parts, so that a few hundred KiB make several. */
class SmallParts extends LocalDirectory {
  override readonly partBytes = 64 * 1024;
}

/** Records whether each part came with its CRC-32. */
class CheckedParts extends SmallParts {
  readonly rightChecksums: boolean[] = [];

  override putStream(key: string): Upload {
    const upload = super.putStream(key);
    const check = (part: Buffer, known: number | undefined) =>
      this.rightChecksums.push(known === crc32(part));
    return {
      write: (part, known) => {
        check(part, known);
        return upload.write(part);
      },
      finish: (tail, known) => {
        check(tail, known);
        return upload.finish(tail);
      },
      abort: () => upload.abort(),
    };
  }
}

const MAX_SMALL_CHUNK = 64 * 1024;

const chunkSpec = fc.record({
  sizeBytes: fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 4000, max: 4200 }),
    fc.integer({ min: 1, max: MAX_SMALL_CHUNK }),
    fc.constant(MAX_SMALL_CHUNK),
  ),
  kind: fc.constantFrom("random", "text", "zeros"),
  seed: fc.nat(),
});

type ChunkSpec = typeof chunkSpec extends fc.Arbitrary<infer T> ? T : never;

function makeChunk({ sizeBytes, kind, seed }: ChunkSpec): Buffer {
  if (kind === "zeros") return Buffer.alloc(sizeBytes);
  if (kind === "random") return new SeededRandom(`chunk ${seed}`).bytes(sizeBytes);
  return Buffer.from(`line ${seed}\n`.repeat(Math.ceil(sizeBytes / 6))).subarray(0, sizeBytes);
}

/** Reads packs by their own footers, and verifies every byte. @returns the chunks in order */
async function readPacks(storage: Storage, packs: IndexedPack[]): Promise<Buffer[]> {
  const stored = new Map((await storage.list("packs/")).map(({ key, sizeBytes }) => [key, sizeBytes]));
  const chunks: Buffer[] = [];
  for (const { id, sizeBytes, footer } of packs) {
    assert.equal(stored.get(packKey(id)), sizeBytes);
    const read = await readPackFooter(storage, id, sizeBytes);
    assert.ok(read.footer.equals(footer), "the footer in the pack is the one reported");
    const pack = await storage.get(packKey(id));
    assert.ok(pack.subarray(0, PACK_HEADER_BYTES).equals(packHeader(id, PLAIN_LAYOUT)));
    let end = PACK_HEADER_BYTES;
    for (const record of recordsOf(footer)) {
      assert.equal(record.offset, end, "payloads follow each other without a gap");
      end += record.storedBytes;
      const bytes = pack.subarray(record.offset, end);
      checkStoredBytes(record, id, bytes, NO_CIPHER);
      chunks.push(decodeChunk(record, id, bytes, Buffer.alloc(CHUNK_BYTES), NO_CIPHER));
      assert.equal(record.encoding === ENCODING.lz4, record.storedBytes < record.rawBytes);
    }
    assert.equal(end + footer.length + PACK_TRAILER_BYTES, sizeBytes);
  }
  return chunks;
}

test("chunks of any size and kind come back from their packs in order", async () => {
  const folder = await tempFolder();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(chunkSpec, { maxLength: 60, size: "max" }),
      fc.constantFrom("lz4" as const, "none" as const),
      fc.constantFrom("aligned" as const, "ordinary" as const),
      async (specs, compression, memory) => {
        const root = join(folder, String(run++));
        const storage = new SmallParts(root);
        const chunks = specs.map(makeChunk);
        const packs = await writePacks(storage, chunks, { compression, memory });
        assert.deepEqual(await readPacks(storage, packs), chunks);
        if (compression === "none") {
          const encodings = packs.flatMap(({ footer }) => recordsOf(footer).map(({ encoding }) => encoding));
          assert.ok(encodings.every((encoding) => encoding === ENCODING.raw));
        }
        await rm(root, { recursive: true, force: true });
      },
    ),
    { numRuns: 25, interruptAfterTimeLimit: 20_000 },
  );
});

test("every part goes to storage with its CRC-32, though chunks run over from one to the next", async () => {
  const root = await tempFolder();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(chunkSpec, { minLength: 1, maxLength: 40, size: "max" }), async (specs) => {
      const storage = new CheckedParts(join(root, String(run++)));
      await writePacks(storage, specs.map(makeChunk), { compression: "lz4", memory: "ordinary" });
      assert.ok(storage.rightChecksums.length > 0);
      assert.equal(storage.rightChecksums.indexOf(false), -1);
    }),
    { numRuns: 40 },
  );
});

test(
  "a pack takes no more chunks than its footer has room for, and the next pack continues",
  fullDepthOnly,
  async () => {
    const random = new SeededRandom("small chunks");
    const chunks = Array.from({ length: 2 * MAX_CHUNKS_PER_PACK + 3 }, () =>
      random.bytes(8 + random.below(60)),
    );
    const storage = new LocalDirectory(await tempFolder());
    const packs = await writePacks(storage, chunks);
    assert.deepEqual(
      packs.map(({ footer }) => recordsOf(footer).length).sort((a, b) => b - a),
      [MAX_CHUNKS_PER_PACK, MAX_CHUNKS_PER_PACK, 3],
    );
    const firstIds = new Map(chunks.map((chunk, number) => [chunkId(chunk).toString("hex"), number]));
    const position = ({ footer }: IndexedPack) => firstIds.get(footer.toString("hex", 0, 32)) ?? -1;
    const inOrder = packs.toSorted((a, b) => position(a) - position(b));
    assert.deepEqual(await readPacks(storage, inOrder), chunks);
  },
);

test("a pack is closed at 64 MiB, after many parts of the storage's own size", async () => {
  const random = new SeededRandom("large chunks");
  const chunks = Array.from({ length: 132 }, () => random.bytes(CHUNK_BYTES));
  const storage = new LocalDirectory(await tempFolder());
  const packs = await writePacks(storage, chunks, { compression: "none" });
  assert.equal(packs.length, 2);
  const closed = Math.max(...packs.map(({ sizeBytes }) => sizeBytes));
  assert.ok(closed > 64 * 2 ** 20 && closed < 65 * 2 ** 20, `${closed} bytes`);
  const read = await readPacks(
    storage,
    packs.toSorted((a, b) => b.sizeBytes - a.sizeBytes),
  );
  assert.ok(Buffer.concat(read).equals(Buffer.concat(chunks)));
});

test("a writer that gives up leaves neither its open pack nor a temporary file", async () => {
  const folder = await tempFolder();
  const storage = new SmallParts(folder);
  const random = new SeededRandom("given up");
  const reported: unknown[] = [];
  const writer = new PackWriter({
    storage,
    compression: "none",
    partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(storage))),
    onPack: (pack) => reported.push(pack),
    onRoom: () => undefined,
    onFailure: (error) => reported.push(error),
  });
  while (writer.hasRoom) {
    const payload = random.bytes(MAX_SMALL_CHUNK);
    writer.append(chunkId(payload), payload);
  }
  await writer.abort();
  assert.deepEqual(reported, []);
  assert.deepEqual(await storage.list("packs/"), []);
  assert.deepEqual(await readdir(join(folder, "tmp")), []);
});

test("a pack that cannot be stored is reported as a failure and never appears", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "tmp"));
  await writeFile(join(folder, "packs"), "a file where a folder belongs");
  const storage = new LocalDirectory(folder);
  await assert.rejects(writePacks(storage, [Buffer.from("a chunk")]), { code: "StorageFailed" });
});
