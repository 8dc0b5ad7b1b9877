import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CHUNK_BYTES, type ChunkRecord, ENCODING } from "../../repository/format/chunk.js";
import { packIdOf, packKey } from "../../repository/format/pack.js";
import { writeIndexSegment } from "../../repository/index/segments.js";
import { readPackFooter, recordsOf } from "../../repository/packs/pack-reader.js";
import { agent, agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, openWithPassphrase, PASSPHRASE } from "../support/encryption.js";
import { writeMixedImage } from "../support/images.js";
import { NbdClient } from "../support/nbd-client.js";
import { startNbd } from "../support/nbd-server.js";
import { plantPacks } from "../support/packs.js";
import { plantPack } from "../support/plant-pack.js";
import type { SeededRandom } from "../support/random.js";
import { assertWhole, backUp, restoreTo, type VerifyOutput } from "../support/repositories.js";
import type { RepositoryPlace } from "../support/repository-places.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const SIZE_BYTES = 12 * CHUNK_BYTES + 777;
const READ = 0;

interface Copy {
  pack: string;
  record: ChunkRecord;
}

/** Makes a repository of one point whose chunks are all in two packs, as from two simultaneous backups. */
async function twoCopies(place: RepositoryPlace, random: SeededRandom) {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeMixedImage(image, SIZE_BYTES, random);
  const name = `several-${random.bytes(4).toString("hex")}`;
  const repo = place.repo(name);
  await place.init(repo);
  const { point } = await backUp(repo, `${image}=disk`);
  const aside = new Map<string, Buffer>();
  for (const prefix of ["packs/", "index/", "points/"]) {
    for (const key of await place.keys(name, prefix)) {
      aside.set(key, await place.get(name, key));
      await place.remove(name, key);
    }
  }
  await backUp(repo, `${image}=disk`);
  for (const key of await place.keys(name, "points/")) await place.remove(name, key);
  for (const [key, bytes] of aside) await place.put(name, key, bytes);
  const { storage } = await openWithPassphrase(repo);
  const firstPacks = [...aside.keys()].filter((key) => packIdOf(key) !== undefined);
  return { place, name, folder, image, repo, storage, firstPacks, point };
}

type Repo = Awaited<ReturnType<typeof twoCopies>>;

/** Returns all chunks, and their places. */
async function copiesOf({ storage }: Repo): Promise<Map<string, Copy[]>> {
  const copies = new Map<string, Copy[]>();
  for (const { key, sizeBytes } of await storage.list("packs/")) {
    const id = packIdOf(key) as string;
    for (const record of recordsOf((await readPackFooter(storage, id, sizeBytes)).footer)) {
      const known = copies.get(record.id.toString("hex")) ?? [];
      copies.set(record.id.toString("hex"), [...known, { pack: id, record }]);
    }
  }
  return copies;
}

async function change({ place, name }: Repo, key: string, how: (bytes: Buffer) => Buffer): Promise<void> {
  await place.put(name, key, how(await place.get(name, key)));
}

/** Losses: each removes one copy of each chunk, and leaves the other. */
const LOSSES: Record<string, (repo: Repo, random: SeededRandom) => Promise<void>> = {
  "one copy of every chunk is damaged, now in this pack and now in that": async (repo, random) => {
    for (const copies of (await copiesOf(repo)).values()) {
      const { pack, record } = random.pick(copies);
      await change(repo, packKey(pack), (bytes) => {
        const at = record.offset + random.below(record.storedBytes);
        bytes.writeUInt8(bytes.readUInt8(at) ^ 0x55, at);
        return bytes;
      });
    }
  },
  "all packs of one backup are cut short within their payloads": async (repo) => {
    for (const pack of repo.firstPacks) await change(repo, pack, (bytes) => bytes.subarray(0, 5000));
  },
  "all packs of one backup are gone": async (repo) => {
    for (const pack of repo.firstPacks) await repo.place.remove(repo.name, pack);
  },
  "packs that list every chunk and hold none were planted, with and without an index segment": async (
    repo,
  ) => {
    const records = [...(await copiesOf(repo)).values()].map(([copy]) => (copy as Copy).record);
    for (let packs = 0; packs < 6; packs++) {
      await plantPack(repo.storage, records, { indexed: packs % 2 === 0 });
    }
  },
  "planted packs list every chunk with a length that is not its own": async (repo, random) => {
    const records = [...(await copiesOf(repo)).values()].map(([copy]) => (copy as Copy).record);
    for (let packs = 0; packs < 6; packs++) {
      const forged = records.map(({ id }) => {
        const length = 1 + random.below(1000);
        return { id, storedBytes: length, rawBytes: length, encoding: ENCODING.raw };
      });
      await plantPack(repo.storage, forged, { indexed: packs % 2 === 0 });
    }
  },
};

LOSSES[
  "packs that hold other bytes under the ids of all chunks were planted, with and without an index segment"
] = async (repo, random) => {
  for (let round = 0; round < 4; round++) {
    const ids = [...(await copiesOf(repo)).values()].map(([copy]) => (copy as Copy).record.id);
    const packs = await plantPacks(
      repo.storage,
      ids.map((id) => ({ id, payload: random.bytes(CHUNK_BYTES) })),
    );
    if (round % 2 === 0) await writeIndexSegment(repo.storage, packs);
  }
};

/** Tests all readers with a bad first copy and a good second copy of each chunk. */
export function testSeveralPlaces(place: RepositoryPlace): void {
  describe(`where every chunk has a good copy in ${place.name}, though not the first one that is looked at`, () => {
    for (const [index, [what, lose]] of Object.entries(LOSSES).entries()) {
      test(
        `(${what}) restore, nbd, export and copy return the volume, and verify reports nothing as lost`,
        index === 0 ? needing("qemu-img") : fullDepthOnly,
        seeded(async (random) => {
          const repo = await twoCopies(place, random);
          const { folder, image } = repo;
          await assertWhole(repo.repo);
          await lose(repo, random);
          const restored = join(folder, "restored.img");
          await restoreTo(repo.repo, repo.point, `disk=${restored}`);
          await assertSameContent(restored, image);
          const exported = join(folder, "exported.img");
          const which = ["--point", repo.point, "--volume", "disk"];
          await agentJson("export", "--repo", repo.repo, ...which, "--format", "raw", exported);
          await assertSameContent(exported, image);
          await assertServes(repo);
          const copy = place.repo(`${repo.name}-copy`);
          await place.init(copy);
          await agentJson("copy", "--from", repo.repo, "--to", copy, repo.point);
          await assertWhole(copy);
          const { code, stdout } = await agent("verify", "--repo", repo.repo, "--read-data", "--json");
          const report = JSON.parse(stdout) as VerifyOutput;
          assert.deepEqual(report.damaged, [], "nothing is lost");
          const onlyGone = report.problems.length === 0 && report.notes.length > 0;
          assert.equal(code, onlyGone ? 0 : 3, stdout);
          assert.ok(onlyGone || report.problems.every(({ affects }) => affects.length === 0), stdout);
        }),
      );
    }
  });
}

/** Makes an encrypted repository, and lets `copy` read it. */
export async function initEncryptedSource(repo: string): Promise<void> {
  process.env.BLOCKFERRY_FROM_PASSPHRASE = PASSPHRASE;
  await initEncrypted(repo);
}

async function assertServes({ folder, image, repo, point }: Repo): Promise<void> {
  const socket = join(folder, "nbd.sock");
  const nbd = await startNbd("--repo", repo, "--point", point, "--listen", `unix:${socket}`);
  const client = await NbdClient.negotiate(socket, "simple");
  const content = await readFile(image);
  for (let offset = 0; offset < content.length; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, content.length - offset);
    client.request({ command: READ, offset: BigInt(offset), length });
    const { error, data } = await client.simpleReply(length);
    assert.ok(error === 0 && data.equals(content.subarray(offset, offset + length)), `byte ${offset}`);
  }
  await nbd.stop();
}
