import assert from "node:assert/strict";
import { open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { CHUNK_BYTES, chunkId } from "../../../repository/format/chunk.js";
import { packIdOf } from "../../../repository/format/pack.js";
import { readPackFooter, recordsOf } from "../../../repository/packs/pack-reader.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { NbdClient } from "../../support/nbd-client.js";
import { startNbd } from "../../support/nbd-server.js";
import { SeededRandom } from "../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const READ = 0;
const EIO = 5;

describe("a volume that is damaged", async () => {
  const random = SeededRandom.fresh();
  const folder = await tempFolder();
  const socket = join(folder, "nbd.sock");
  const image = join(folder, "disk.img");
  let repo = "";
  let content: Buffer;
  before(async () => {
    repo = await newRepository(folder);
    await writeRandomFile(image, 8 * MIB, random);
    await backUp(repo, [`${image}=disk`]);
    content = await readFile(image);
  });
  const start = () => startNbd("--repo", repo, "--point", "latest", "--listen", `unix:${socket}`);
  const chunkAt = (position: number) =>
    content.subarray(position * CHUNK_BYTES, (position + 1) * CHUNK_BYTES);

  test(
    "is served except for the damaged chunk, which is EIO in both kinds of replies and named once",
    needing("qemu-img"),
    async () => {
      const position = random.below(16);
      const place = await placeOf(repo, chunkId(chunkAt(position)));
      await flipByte(join(repo, place.key), place.offset + 1000);
      const nbd = await start();

      const simple = await NbdClient.negotiate(socket, "simple");
      const structured = await NbdClient.negotiate(socket, "structured");
      for (let chunk = 0; chunk < 16; chunk++) {
        const request = { command: READ, offset: BigInt(chunk * CHUNK_BYTES), length: CHUNK_BYTES };
        simple.request(request);
        const { error, data } = await simple.simpleReply(CHUNK_BYTES);
        assert.equal(error, chunk === position ? EIO : 0);
        if (chunk !== position) assert.ok(data.equals(chunkAt(chunk)));
      }
      structured.request({ command: READ, length: 8 * MIB });
      const chunks = await structured.structuredReply();
      assert.equal(chunks.length, position + 1, "what stands before it comes");
      const failure = chunks.at(-1);
      assert.equal(failure?.type, 0x8002);
      assert.equal(failure.payload.readUInt32BE(0), EIO);
      assert.equal(
        failure.payload.readBigUInt64BE(failure.payload.length - 8),
        BigInt(position * CHUNK_BYTES),
      );
      assert.match(failure.payload.toString("utf8"), /damaged/);

      await nbd.stop();
      const notices = nbd.stderr().match(/^note: .*$/gm) ?? [];
      assert.equal(notices.length, 1, nbd.stderr());
      assert.ok(notices[0]?.includes(`byte ${position * CHUNK_BYTES} of volume disk`), notices[0]);
      assert.ok(notices[0]?.includes(`${place.key} at byte ${place.offset}`), notices[0]);

      const target = join(folder, "damaged.qcow2");
      const error = await agentFails(
        3,
        ...["export", "--repo", repo, "--point", "latest"],
        "--format=qcow2",
        target,
      );
      assert.equal(error.code, "ChunkCorrupt");
      assert.equal(error.object, place.key);
      assert.deepEqual((await readdir(folder)).sort(), ["disk.img", "repo"]);
      await flipByte(join(repo, place.key), place.offset + 1000);
    },
  );

  test(
    "that lacks a pack is served except for the chunks of the pack, and not exported at all",
    needing("qemu-img"),
    async () => {
      await overwriteAtRandom(image, 5 * CHUNK_BYTES, CHUNK_BYTES, random);
      await backUp(repo, [`${image}=disk`]);
      content = await readFile(image);
      const { key } = await placeOf(repo, chunkId(chunkAt(5)));
      await rm(join(repo, key));
      const nbd = await start();
      const client = await NbdClient.negotiate(socket, "simple");
      client.request({ command: READ, offset: BigInt(5 * CHUNK_BYTES), length: 512 });
      assert.equal((await client.simpleReply(512)).error, EIO);
      for (const chunk of [4, 6]) {
        client.request({ command: READ, offset: BigInt(chunk * CHUNK_BYTES), length: CHUNK_BYTES });
        assert.ok((await client.simpleReply(CHUNK_BYTES)).data.equals(chunkAt(chunk)));
      }
      await nbd.stop();
      assert.match(nbd.stderr(), new RegExp(`lacks its data at byte ${5 * CHUNK_BYTES}.*${key}`));
      const target = join(folder, "lacking.raw");
      const error = await agentFails(
        3,
        ...["export", "--repo", repo, "--point", "latest"],
        "--format=raw",
        target,
      );
      assert.equal(error.code, "ChunkMissing");
      await assert.rejects(stat(target), { code: "ENOENT" });
    },
  );
});

/** Returns the place of a chunk: the key of its pack, and the offset in it. */
async function placeOf(repo: string, id: Buffer): Promise<{ key: string; offset: number }> {
  const storage = new LocalDirectory(repo);
  for (const { key, sizeBytes } of await storage.list("packs/")) {
    const { footer } = await readPackFooter(storage, packIdOf(key) as string, sizeBytes);
    const record = recordsOf(footer).find((candidate) => candidate.id.equals(id));
    if (record !== undefined) return { key, offset: record.offset };
  }
  assert.fail(`no pack holds chunk ${id.toString("hex")}`);
}

async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    await file.write(Buffer.from([byte.readUInt8() ^ 0xff]), 0, 1, offset);
  } finally {
    await file.close();
  }
}
