import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { agent, startAgent } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  failure,
  pointIds,
} from "../support/repositories.js";
import type { RepositoryPlace } from "../support/repository-places.js";
import { MISDATES } from "../support/s3-server.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;

/** Tests how users work with a repository, for each kind of storage. */
export function testRepository(place: RepositoryPlace): void {
  describe(`a repository in ${place.name}`, async () => {
    const random = SeededRandom.fresh();
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    before(() => writeMixedImage(image, 90 * MIB + 777, random));

    async function newRepository(name: string): Promise<string> {
      const repo = place.repo(name);
      await place.init(repo);
      return repo;
    }

    test("holds backups that come back bit for bit, and stores nothing twice", async () => {
      const repo = await newRepository("round/trip");
      const first = await backUp(repo, image);
      assert.ok(first.stats.newBytes > 0);
      const second = await backUp(repo, image);
      assert.equal(second.stats.newBytes, 0);
      await assertRestores(repo, first.point, image, join(folder, "first.restored"));
      await assertWhole(repo);
      assert.deepEqual(await pointIds(repo), [first.point, second.point]);
      assert.deepEqual(await place.leftovers("round/trip"), []);
    });

    test("is made once: a second init changes nothing", async () => {
      const repo = await newRepository("once");
      const config = await place.get("once", "config.json");
      const again = ["init", "--repo", repo, "--json"];
      const error = failure(1, await startAgent(again, { BLOCKFERRY_PASSPHRASE: "" }).result);
      assert.equal(error.code, "RepositoryExists");
      assert.ok((await place.get("once", "config.json")).equals(config));
    });

    test("and one below it do not see each other", async () => {
      const outer = await newRepository("nested");
      const inner = await newRepository("nested/packs2");
      const small = join(folder, "small.img");
      await writeRandomFile(small, MIB, random);
      await backUp(inner, small);
      assert.deepEqual(await pointIds(outer), []);
      await assertWhole(outer);
      await assertWhole(inner);
    });

    const aliveTogether = place.datesUploads ? {} : { skip: MISDATES };
    test("takes two backups at once, and both are right", aliveTogether, async () => {
      const repo = await newRepository("both");
      const other = join(folder, "other.img");
      await writeMixedImage(other, 20 * MIB, random);
      const [one, two] = await Promise.all([backUp(repo, image), backUp(repo, other)]);
      await assertRestores(repo, one.point, image, join(folder, "one.restored"));
      await assertRestores(repo, two.point, other, join(folder, "two.restored"));
      await assertWhole(repo);
    });

    test("with a damaged pack names the lost bytes, and never restores them as if they were right", async () => {
      const repo = await newRepository("damaged");
      await backUp(repo, image, "--threads=1");
      const packs = await place.keys("damaged", "packs/");
      for (const pack of packs) {
        const bytes = await place.get("damaged", pack);
        const at = bytes.length >> 1;
        bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
        await place.put("damaged", pack, bytes);
      }
      const { code, stdout } = await agent("verify", "--read-data", "--repo", repo, "--json");
      assert.equal(code, 3, stdout);
      assert.match(stdout, /ChunkCorrupt/);
      const target = join(folder, "damaged.restored");
      const error = await agentFails(
        3,
        ...["restore", "--repo", repo, "--point", "latest", "--target", target],
      );
      assert.equal(error.code, "ChunkCorrupt");
    });

    test(
      "that lost a pack reports it before a restore, and the next backup stores its chunks again",
      fullDepthOnly,
      async () => {
        const repo = await newRepository("lost");
        await backUp(repo, image, "--threads=1");
        const [pack = ""] = await place.keys("lost", "packs/");
        await place.remove("lost", pack);
        const target = join(folder, "lost.restored");
        const restore = ["restore", "--repo", repo, "--point", "latest", "--target", target];
        assert.match((await agentFails(3, ...restore)).code, /ChunkMissing|PackMissing/);
        const { stats } = await backUp(repo, image);
        assert.ok(stats.newBytes > 0);
        await assertRestores(repo, "latest", image, target);
      },
    );
  });
}
