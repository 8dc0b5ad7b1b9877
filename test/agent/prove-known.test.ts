import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CHUNK_BYTES, ENCODING } from "../../repository/format/chunk.js";
import { packKey } from "../../repository/format/pack.js";
import { openRepository } from "../../repository/open/repository.js";
import { agent, agentJson } from "../support/agent.js";
import { plantPack } from "../support/plant-pack.js";
import type { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { agentFails, assertRestores, type BackupOutput, newRepository } from "../support/repositories.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";

const CHUNKS = 12;
const TAIL_BYTES = 1000;

interface RelianceOutput extends BackupOutput {
  reliance: {
    knownBytes: number;
    unreadBytes: number;
    provenBytes: number;
    storedAgainBytes: number;
    alarms: string[];
  };
}

/** Makes a disk, a new repository, and a planted pack that lists every chunk of the disk. */
async function poisoned(random: SeededRandom, lengthOf: (rawBytes: number) => number) {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, CHUNKS * CHUNK_BYTES + TAIL_BYTES, random);
  const repo = await newRepository(folder);
  const { storage } = await openRepository(repo);
  const disk = await readFile(image);
  const forgeries = [];
  for (let at = 0; at < disk.length; at += CHUNK_BYTES) {
    const chunk = disk.subarray(at, at + CHUNK_BYTES);
    const length = lengthOf(chunk.length);
    forgeries.push({
      id: storage.cipher.chunkId(chunk),
      storedBytes: length,
      rawBytes: length,
      encoding: ENCODING.raw,
    });
  }
  const pack = await plantPack(storage, forgeries, { indexed: true });

  return { folder, image, repo, pack };
}

const backup = (repo: string, image: string, ...options: string[]) =>
  agentJson<RelianceOutput>("backup", "--repo", repo, `--device=${image}=disk`, ...options);

test(
  "a chunk that is listed with another length is stored, whatever the options",
  seeded(async (random) => {
    const { folder, image, repo, pack } = await poisoned(random, (rawBytes) => rawBytes - 1);
    const { point, stats, reliance } = await backup(repo, image);
    assert.ok(stats.newBytes > CHUNKS * CHUNK_BYTES + TAIL_BYTES, "with the block map");
    assert.equal(stats.duplicateBytes, 0);
    assert.equal(reliance.storedAgainBytes, CHUNKS * CHUNK_BYTES + TAIL_BYTES);
    assert.match(reliance.alarms.join(), new RegExp(pack));
    await assertRestores(repo, point, image, join(folder, "restored.img"));
  }),
);

for (const choice of ["100", "new-packs"]) {
  test(
    `--prove-known=${choice} finds chunks that are listed and not there, stores them and names the pack`,
    seeded(async (random) => {
      const { folder, image, repo, pack } = await poisoned(random, (rawBytes) => rawBytes);
      const { code, stdout, stderr } = await agent(
        "backup",
        "--repo",
        repo,
        `--device=${image}=disk`,
        `--prove-known=${choice}`,
      );
      assert.equal(code, 0, stderr);
      assert.match(stdout, /WRONG .*stored again/);
      assert.match(stderr, new RegExp(`WRONG IN THE REPOSITORY: .*${packKey(pack)}`));
      await assertRestores(repo, "latest", image, join(folder, "restored.img"));
      const again = await backup(repo, image, `--prove-known=${choice}`);
      assert.equal(again.stats.newBytes, 0, "good copies are there now");
      assert.equal(again.reliance.storedAgainBytes, 0);
      await assertRestores(repo, again.point, image, join(folder, "again.img"));
    }),
  );
}

test(
  "a backup says how much it relies on packs that no verify has read",
  seeded(async (random) => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, CHUNKS * CHUNK_BYTES, random);
    const repo = await newRepository(folder);
    process.env.BLOCKFERRY_STATE_DIR = join(folder, "state");
    const first = await backup(repo, image);
    assert.deepEqual([first.reliance.knownBytes, first.reliance.unreadBytes], [0, 0]);
    const second = await backup(repo, image);
    assert.ok(second.reliance.unreadBytes > CHUNKS * CHUNK_BYTES, "the block map counts, too");
    const all = await backup(repo, image, "--prove-known=new-packs");
    assert.equal(all.reliance.provenBytes, all.reliance.unreadBytes);
    await agentJson("verify", "--repo", repo, "--read-data");
    const third = await backup(repo, image, "--prove-known=new-packs");
    assert.deepEqual([third.reliance.unreadBytes, third.reliance.provenBytes], [0, 0]);
  }),
);

test("--prove-known takes a percentage or new-packs", async () => {
  for (const value of ["0", "101", "all", "-1"]) {
    const error = await agentFails(2, "backup", "--repo", "nowhere", "--device=x", `--prove-known=${value}`);
    assert.equal(error.code, "Usage");
  }
});
