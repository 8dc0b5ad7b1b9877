import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { ErrorRecord } from "../../../../foundation/errors.js";
import { CHUNK_BYTES } from "../../../../repository/format/chunk.js";
import { agent, agentJson } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { SeededRandom } from "../../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  type VerifyOutput,
  type VolumeRange,
} from "../../../support/repositories.js";
import type { RepositoryPlace } from "../../../support/repository-places.js";
import { assertSameContent } from "../../../support/same-content.js";
import { tempFolder } from "../../../support/temp-folder.js";

/** The output of `repair index --json`. */
interface IndexRepairOutput {
  packs: number;
  segments: number;
  segmentsRemoved: number;
  unlisted: number;
  missing: string[];
  replaced: ErrorRecord[];
  damaged: (ErrorRecord & { chunksKept: number; chunksLost: number | null })[];
}

/** The output of `repair points --json`. */
interface PointLossesOutput {
  whole: string[];
  incomplete: { id: string; volumes: { name: string; lost: { offset: number; length: number }[] }[] }[];
}

type Range = Pick<VolumeRange, "offset" | "length">;

const CHUNKS = 9;
/** Size of the volume, whose last chunk is short. */
const SIZE_BYTES = CHUNKS * CHUNK_BYTES + 777;
/** The changes in the second backup: two adjacent chunks, and the last one. */
const CHANGED: Range[] = [
  { offset: 2 * CHUNK_BYTES, length: 2 * CHUNK_BYTES },
  { offset: CHUNKS * CHUNK_BYTES, length: 777 },
];

/** Tests repairs of a damaged repository, for each kind of storage. */
export function testRepair(place: RepositoryPlace): void {
  describe(`a damaged repository in ${place.name}`, async () => {
    const random = SeededRandom.fresh();
    const folder = await tempFolder();
    const first = join(folder, "first.img");
    const second = join(folder, "second.img");
    const target = join(folder, "restored.img");

    /** A repository with both images; each test gets a copy of it. */
    const intact = { points: ["", ""] as [string, string], data: "", maps: "" };

    before(async () => {
      await writeRandomFile(first, SIZE_BYTES, random);
      await writeFile(second, await readFile(first));
      for (const { offset, length } of CHANGED) await overwriteAtRandom(second, offset, length, random);
      const repo = place.repo("intact");
      await agentJson("init", "--repo", repo);
      const one = await backUp(repo, `${first}=disk`, "--threads=1");
      const before = await place.keys("intact", "packs/");
      const two = await backUp(repo, `${second}=disk`, "--threads=1");
      const added = (await place.keys("intact", "packs/")).filter((key) => !before.includes(key));
      const sizes = await Promise.all(added.map(async (key) => (await place.get("intact", key)).length));
      intact.points = [one.point, two.point];
      intact.data = added[sizes.indexOf(Math.max(...sizes))] as string;
      intact.maps = added.find((key) => key !== intact.data) as string;
    });

    /** Makes the repository. `data` and `maps` are the packs that the second backup added. */
    async function makeRepository(name: string) {
      for (const key of await place.keys("intact", ""))
        await place.put(name, key, await place.get("intact", key));
      return { name, repo: place.repo(name), ...intact };
    }

    async function damage(name: string, key: string, change: (bytes: Buffer) => Buffer): Promise<void> {
      await place.put(name, key, change(await place.get(name, key)));
    }

    async function pointLosses(repo: string): Promise<PointLossesOutput> {
      const { stdout } = await agent("repair", "points", "--repo", repo, "--json");
      return JSON.parse(stdout) as PointLossesOutput;
    }

    /**
     * Restores the remaining data. Checks that the reported ranges are zeros and all other bytes are right.
     */
    async function assertRestoresAllBut(repo: string, point: string, image: string, lost: Range[]) {
      const args = ["restore", "--repo", repo, "--point", point, "--target", target, "--force"];
      const { code, stdout } = await agent(...args, "--allow-missing", "--json");
      assert.equal(code, 3, stdout);
      const told = (JSON.parse(stdout) as { lost: (Range & { volume: string })[] }).lost;
      assert.deepEqual(
        told,
        lost.map((range) => ({ volume: "disk", ...range })),
      );
      const expected = await readFile(image);
      for (const { offset, length } of lost) expected.fill(0, offset, offset + length);
      assert.ok((await readFile(target)).equals(expected), "what is left came back as it was");
    }

    test(
      "that lost a pack names each lost byte, restores the rest, and is healed by the next backup",
      fullDepthOnly,
      async () => {
        const { name, repo, points, data } = await makeRepository("lost-data");
        await place.remove(name, data);
        const losses = await pointLosses(repo);
        assert.deepEqual(losses.whole, [points[0]]);
        assert.deepEqual(
          losses.incomplete.map(({ id, volumes }) => ({ id, lost: volumes.map(({ lost }) => lost) })),
          [{ id: points[1], lost: [CHANGED] }],
        );
        const affects = CHANGED.map((range) => ({ point: points[1], volume: "disk", ...range }));
        const verified = await agent("verify", "--repo", repo, "--json");
        assert.equal(verified.code, 3);
        const { problems } = JSON.parse(verified.stdout) as VerifyOutput;
        assert.deepEqual(
          problems.map(({ code, object, affects: ranges }) => ({ code, object, affects: ranges })),
          [{ code: "PackMissing", object: data, affects }],
        );
        await assertRestores(repo, points[0], first, join(folder, "whole.img"));
        const refused = join(folder, "refused.img");
        const { code } = await agentFails(
          3,
          "restore",
          "--repo",
          repo,
          "--point=latest",
          "--target",
          refused,
        );
        assert.equal(code, "ChunkMissing");
        await assertRestoresAllBut(repo, points[1], second, CHANGED);

        const { stats } = await backUp(repo, `${second}=disk`);
        assert.equal(stats.newBytes, 2 * CHUNK_BYTES + 777);
        for (const [point, image] of [
          [points[0], first],
          [points[1], second],
        ] as const) {
          await agentJson("restore", "--repo", repo, "--point", point, "--target", target, "--force");
          await assertSameContent(target, image);
        }
        assert.deepEqual((await pointLosses(repo)).incomplete, []);

        const noticed = await agent("backup", "--repo", repo, "--device", `${second}=disk`, "--json");
        assert.match(noticed.stderr, new RegExp(data));
        const repaired = await agentJson<IndexRepairOutput>("repair", "index", "--repo", repo);
        assert.deepEqual(repaired.missing, [data.slice(-32)]);
        const quiet = await agent("backup", "--repo", repo, "--device", `${second}=disk`, "--json");
        assert.equal(quiet.stderr, "", "the index has forgotten the pack");
        assert.deepEqual((await assertWhole(repo)).notes, []);
      },
    );

    test("that lost a block-map node names all that was below it, and the other point stays whole", async () => {
      const { name, repo, points, maps } = await makeRepository("lost-map");
      await place.remove(name, maps);
      const all = [{ offset: 0, length: SIZE_BYTES }];
      const { whole, incomplete } = await pointLosses(repo);
      assert.deepEqual(whole, [points[0]]);
      assert.deepEqual(incomplete[0]?.volumes[0]?.lost, all);
      await assertRestoresAllBut(repo, points[1], second, all);
      const { stats } = await backUp(repo, `${second}=disk`);
      assert.equal(stats.newBytes, 32 * (CHUNKS + 1), "the node alone is stored again");
      await assertWhole(repo);
    });

    test("with damaged chunks names the lost bytes of each, restores the data around them, and is healed by a repair of the pack", async () => {
      const { name, repo, points, data } = await makeRepository("damaged-chunk");
      const flipped = [1000, 1000 + CHUNK_BYTES];
      await damage(name, data, (bytes) => {
        for (const at of flipped) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
        return bytes;
      });
      const { stdout } = await agent("verify", "--read-data", "--repo", repo, "--json");
      const { problems } = JSON.parse(stdout) as VerifyOutput;
      assert.deepEqual(
        problems.map(({ code, object }) => [code, object]),
        [
          ["ChunkCorrupt", data],
          ["ChunkCorrupt", data],
        ],
      );
      const affected = problems.map(({ affects }) => affects);
      assert.deepEqual(
        affected.map((ranges) => ranges.map(({ point, length }) => [point, length])),
        [[[points[1], CHUNK_BYTES]], [[points[1], CHUNK_BYTES]]],
        "each costs its own chunk",
      );
      const offsets = affected.flat().map(({ offset }) => offset);
      assert.deepEqual(offsets.sort(), [2 * CHUNK_BYTES, 3 * CHUNK_BYTES]);
      await assertRestoresAllBut(repo, points[1], second, CHANGED.slice(0, 1));

      const repaired = await agent("repair", "packs", data, "--repo", repo, "--json");
      assert.deepEqual(
        [repaired.code, JSON.parse(repaired.stdout)],
        [3, { dryRun: false, packs: [{ id: data.slice(-32), chunksKept: 1, chunksLost: 2 }] }],
      );
      assert.ok(!(await place.keys(name, "packs/")).includes(data));
      const { stats } = await backUp(repo, `${second}=disk`);
      assert.equal(stats.newBytes, 2 * CHUNK_BYTES, "the chunk that was left need not be stored again");
      await assertWhole(repo);
      await assertRestores(repo, points[1], second, join(folder, "repaired.img"));
    });

    test("gets a new index from the packs alone, and a dry run changes nothing", async () => {
      const { name, repo, points } = await makeRepository("index");
      const [one, two] = (await place.keys(name, "index/")) as [string, string];
      await place.remove(name, one);
      await damage(name, two, (bytes) => bytes.subarray(0, -5));
      await agentFailsToBeWhole(repo);
      const plan = await agentJson<IndexRepairOutput>("repair", "index", "--dry-run", "--repo", repo);
      assert.deepEqual(await place.keys(name, "index/"), [two]);
      const { segmentsRemoved, unlisted, replaced, ...repaired } = await agentJson<IndexRepairOutput>(
        ...["repair", "index", "--repo", repo],
      );
      assert.deepEqual([repaired.packs, repaired.segments, segmentsRemoved, unlisted], [4, 1, 1, 4]);
      assert.deepEqual([plan.packs, plan.unlisted], [4, 4]);
      assert.deepEqual(
        replaced.map(({ code, object }) => [code, object]),
        [["ObjectCorrupt", two]],
      );
      assert.equal((await place.keys(name, "index/")).length, 1);
      await assertWhole(repo);
      await agentJson("repair", "index", "--repo", repo);
      await assertRestores(repo, points[1], second, join(folder, "reindexed.img"));
      assert.deepEqual(await place.keys(name, "locks/"), []);
    });

    test(
      "with a pack cut short keeps listing the chunks of it that prove, and names the pack",
      fullDepthOnly,
      async () => {
        const { name, repo, points, data } = await makeRepository("cut");
        await damage(name, data, (bytes) => bytes.subarray(0, 32 + CHUNK_BYTES + 10));
        assert.deepEqual((await pointLosses(repo)).incomplete[0]?.volumes[0]?.lost, CHANGED);
        const { code, stdout } = await agent("repair", "index", "--repo", repo, "--json");
        assert.equal(code, 3, stdout);
        const { damaged } = JSON.parse(stdout) as IndexRepairOutput;
        assert.deepEqual(
          damaged.map(({ object, chunksKept, chunksLost }) => [object, chunksKept, chunksLost]),
          [[data, 1, 2]],
        );
        const lost = (await pointLosses(repo)).incomplete[0]?.volumes[0]?.lost ?? [];
        assert.equal(
          lost.reduce((sum, { length }) => sum + length, 0),
          CHUNK_BYTES + 777,
        );
        await assertRestoresAllBut(repo, points[1], second, lost);
        const { stats } = await backUp(repo, `${second}=disk`);
        assert.equal(stats.newBytes, CHUNK_BYTES + 777, "the next backup stores what is lost, and no more");
        await assertRestores(repo, points[1], second, join(folder, "healed.img"));
        const healed = await agent("verify", "--read-data", "--repo", repo, "--json");
        const { problems, damaged: costs } = JSON.parse(healed.stdout) as VerifyOutput;
        assert.deepEqual(
          problems.map(({ code, object }) => [code, object]),
          [["PackCorrupt", data]],
        );
        assert.deepEqual(costs, [], "the pack is still damaged, and costs nothing");
      },
    );

    test("is read by samples that move on", fullDepthOnly, async () => {
      const { repo } = await makeRepository("samples");
      const sample = () => agentJson<VerifyOutput>("verify", "--repo", repo, "--read-data=25");
      const read: VerifyOutput[] = [];
      for (let run = 0; run < 5; run++) read.push(await sample());
      assert.ok(read.reduce((sum, { packsRead }) => sum + packsRead, 0) >= 4);
      assert.ok(read.every(({ packsRead }) => packsRead >= 1));
      const [begun, ...later] = read.map(({ startedAt }) => startedAt);
      assert.ok(
        later.some((_, run) => read[run + 1]?.readSince === begun),
        "a lap is over",
      );
      const { packsRead, packs, readSince, startedAt } = await assertWhole(repo);
      assert.deepEqual([packsRead, readSince], [packs, startedAt]);
    });

    async function agentFailsToBeWhole(repo: string): Promise<void> {
      assert.equal((await agent("verify", "--repo", repo)).code, 3);
    }
  });
}
