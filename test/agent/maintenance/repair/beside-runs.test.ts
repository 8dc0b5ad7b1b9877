import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { repairIndex } from "../../../../agent/maintenance/repair-index.js";
import { openRepository } from "../../../../repository/open/repository.js";
import { Lease } from "../../../../repository/protocol/lease.js";
import { agentJson } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { agentFails, assertWhole, filesBelow, newRepository } from "../../../support/repositories.js";
import { seeded } from "../../../support/seeded.js";
import { tempFolder } from "../../../support/temp-folder.js";
import { Fixture } from "../prune/fixture.js";

const MIB = 1024 * 1024;
const NEVER = new AbortController().signal;

const packsOf = async ({ repo }: Fixture) =>
  (await filesBelow(join(repo, "packs"))).map((path) => basename(path));
const segmentsOf = ({ repo }: Fixture) => readdir(join(repo, "index"));

test(
  "an index that is repaired while a backup runs lists the chunks that the backup stores or relies on",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.backUp();
    await fixture.change(0, MIB);
    const point = await fixture.backUpHere(async () => {
      await agentJson("repair", "index", "--repo", fixture.repo);
    });
    await fixture.assertRestores(point.id);
    const repaired = await agentJson("repair", "index", "--repo", fixture.repo);
    assert.deepEqual([repaired.packs, repaired.unlisted, repaired.segments], [4, 0, 1]);
    assert.equal((await segmentsOf(fixture)).length, 1);
    await fixture.assertTidy();
  }),
);

test(
  "a repair that was ended between writing and removing segments is finished by the next one",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.backUp();
    await fixture.change(0, MIB);
    await fixture.backUp();
    const repository = await openRepository(fixture.repo);
    const { storage } = repository;
    const remove = storage.delete.bind(storage);
    storage.delete = async (keys) => {
      if (keys.some((key) => key.startsWith("index/"))) throw new Error("ended here");
      return remove(keys);
    };
    await assert.rejects(repairIndex(repository, NEVER), /ended here/);
    assert.equal((await segmentsOf(fixture)).length, 3, "the old ones and the new one");
    await assertWhole(fixture.repo);
    storage.delete = remove;
    const { segments, segmentsRemoved } = await repairIndex(repository, NEVER);
    assert.deepEqual([segments, segmentsRemoved], [1, 2]);
    assert.equal((await segmentsOf(fixture)).length, 1);
    await fixture.assertTidy();
  }),
);

test(
  "a repair that was taken for dead removes no segment",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.backUp();
    const before = await segmentsOf(fixture);
    await fixture.change(0, MIB);
    await fixture.backUp();
    const repository = await openRepository(fixture.repo);
    const { storage } = repository;
    const put = storage.put.bind(storage);
    storage.put = async (key, body, options) => {
      await put(key, body, options);
      if (key.startsWith("index/"))
        for (const lease of await filesBelow(join(fixture.repo, "locks"))) await rm(lease);
    };
    await assert.rejects(repairIndex(repository, NEVER), { code: "LeaseLost" });
    assert.ok((await segmentsOf(fixture)).includes(before[0] as string));
    await fixture.assertTidy();
  }),
);

test(
  "a pack that is replaced while a backup relies on it costs that backup nothing",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.backUp();
    const before = await packsOf(fixture);
    await fixture.change(0, MIB);
    const point = await fixture.backUpHere(async () => {
      await agentJson("repair", "packs", ...before, "--repo", fixture.repo);
    });
    const after = await packsOf(fixture);
    assert.deepEqual(
      before.filter((id) => after.includes(id)),
      [],
    );
    await fixture.assertRestores(point.id);
    await fixture.assertTidy();
  }),
);

test("an object that is not a pack is not repaired, and nothing changes", async () => {
  const repo = await newRepository(await tempFolder());
  const failing: [number, string, string[]][] = [
    [2, "Usage", ["packs"]],
    [2, "Usage", ["packs", "points/x.json"]],
    [2, "Usage", ["index", "0".repeat(32)]],
    [3, "PackMissing", ["packs", "0".repeat(32)]],
  ];
  for (const [exit, code, args] of failing) {
    assert.equal((await agentFails(exit, "repair", ...args, "--repo", repo)).code, code);
  }
});

test(
  "the index is repaired by one run at a time, and not beside prune",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const { storage } = await openRepository(fixture.repo);
    const lease = await Lease.acquire(storage, "prune");
    const error = await agentFails(1, "repair", "index", "--repo", fixture.repo);
    assert.equal(error.code, "PruneRunning");
    await lease.release();
    assert.equal((await agentJson("repair", "index", "--repo", fixture.repo)).segments, 0);
  }),
);
