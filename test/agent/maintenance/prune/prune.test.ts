import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PrunePlan } from "../../../../agent/maintenance/prune.js";
import { agent, agentJson } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { agentFails, assertWhole, backUp, filesBelow, pointIds } from "../../../support/repositories.js";
import { seeded } from "../../../support/seeded.js";
import { Fixture, NOW } from "./fixture.js";

const MIB = 1024 * 1024;

test(
  "packs that only a forgotten point needed are noticed, and removed by a later run after the grace period",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    await fixture.change(0, 24 * MIB);
    const second = await fixture.backUp();
    const full = await fixture.packBytes();
    await fixture.forget(first);
    for (const _ of [1, 2]) {
      const { removed, noticed, kept } = await fixture.prune();
      assert.deepEqual([removed.packs, noticed.packs, kept.packs], [0, 2, 4]);
      assert.equal(await fixture.packBytes(), full, "the grace period is not over");
    }
    const { removed } = await fixture.prune(...NOW);
    assert.equal(removed.packs, 2);
    assert.equal(await fixture.packBytes(), full - removed.bytes);
    assert.ok(removed.bytes > 24 * MIB);
    await fixture.assertRestores(second);
    await fixture.assertTidy();
    assert.deepEqual(await pointIds(fixture.repo), [second]);
  }),
);

test(
  "until the grace period is over, backups rely on noticed packs, as after an interrupted backup",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    await fixture.prune();
    const { stats, point } = await backUp(fixture.repo, fixture.image);
    assert.equal(stats.newBytes, 0);
    const { removed, noticed, kept } = await fixture.prune(...NOW);
    assert.deepEqual([removed.packs, noticed.packs, kept.packs], [0, 0, 2]);
    await fixture.assertRestores(point);
    await fixture.assertTidy();
  }),
);

test(
  "with no grace period, and no run under way, the space is free at once",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const { removed, kept } = await fixture.prune(...NOW);
    assert.deepEqual([removed.packs, kept.packs], [2, 0]);
    assert.equal(await fixture.packBytes(), 0);
    await fixture.assertTidy();
    await fixture.assertRestores(await fixture.backUp());
  }),
);

test(
  "with packs and no point at all nothing is removed without --allow-no-points: the points may be hidden",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const point = await fixture.backUp();
    const [path, hidden] = [join(fixture.repo, "points"), join(fixture.folder, "hidden")];
    await rename(path, hidden);
    const before = await fixture.packBytes();
    for (const more of [[], ["--dry-run"]]) {
      const error = await agentFails(1, "prune", "--repo", fixture.repo, ...NOW, ...more);
      assert.equal(error.code, "NoPoints");
      assert.match(error.remedy, /--allow-no-points/);
    }
    assert.equal(await fixture.packBytes(), before);
    await rename(hidden, path);
    await fixture.prune(...NOW);
    await fixture.assertRestores(point);
    await fixture.forget(point);
    assert.ok((await fixture.prune(...NOW)).removed.packs > 0);
    assert.equal(await fixture.packBytes(), 0);
  }),
);

test(
  "points under changed names stop prune and are problems of verify; other objects are left alone, and named",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    await fixture.change(0, MIB);
    const second = await fixture.backUp();
    await mkdir(join(fixture.repo, "points/more"));
    const notes = ["points/README.txt", "packs/more.txt", "index/x", "points/more/of-it"];
    for (const name of notes) await writeFile(join(fixture.repo, name), "not from blockferry\n");
    const { unreadable } = await fixture.prune(...NOW);
    for (const name of notes)
      assert.ok(
        unreadable.some(({ code, message }) => code === "NameUnknown" && message.includes(name)),
        name,
      );
    const { code, stdout } = await agent("verify", "--repo", fixture.repo, "--json");
    const verified = JSON.parse(stdout) as { ok: boolean; notes: { code: string }[] };
    assert.deepEqual([code, verified.ok], [0, true]);
    assert.ok(verified.notes.some((note) => note.code === "NameUnknown"));
    for (const change of [(name: string) => name.toLowerCase(), (name: string) => `${name}.bak`]) {
      const path = join(fixture.repo, `points/${first}.json`);
      const changed = join(fixture.repo, "points", change(`${first}.json`));
      await rename(path, changed);
      const before = await fixture.packBytes();
      const refused = await agentFails(1, "prune", "--repo", fixture.repo, ...NOW);
      assert.equal(refused.code, "NameUnknown");
      assert.ok(refused.message.includes(change(`${first}.json`)), refused.message);
      const damaged = await agent("verify", "--repo", fixture.repo, "--json");
      assert.equal(damaged.code, 3, damaged.stdout);
      assert.ok(damaged.stdout.includes("NameUnknown"));
      const listed = await agent("list", "--repo", fixture.repo);
      assert.match(listed.stdout + listed.stderr, /names that blockferry never writes/);
      assert.equal(await fixture.packBytes(), before);
      await rename(changed, path);
    }
    const notUtf8 = Buffer.concat([Buffer.from(join(fixture.repo, "points/")), Buffer.from([0xff, 0xfe])]);
    await writeFile(notUtf8, "");
    const { unreadable: reported } = await fixture.prune(...NOW);
    assert.ok(reported.some(({ message }) => message.includes("points/\u{FFFD}\u{FFFD}")));
    await rm(notUtf8);
    await fixture.prune(...NOW);
    await fixture.assertRestores(second);
  }),
);

test(
  "a pack of which little is needed is rewritten, within the limit, and its points stay whole",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    await fixture.change(4 * MIB, 20 * MIB);
    const second = await fixture.backUp();
    await fixture.forget(first);
    const limited = await fixture.prune(...NOW, "--max-rewrite", "1M");
    assert.equal(limited.rewritten.packs, 0);
    const { rewritten } = await fixture.prune(...NOW);
    assert.equal(rewritten.packs, 1);
    const left = await fixture.packBytes();
    assert.ok(left < 25 * MIB, `${left} bytes`);
    await fixture.assertRestores(second);
    await fixture.assertTidy();
    const { stats } = await backUp(fixture.repo, fixture.image);
    assert.equal(stats.newBytes, 0, "the copies are found");
  }),
);

test(
  "a dry run prints the plan, and changes nothing",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const before = await contentsOf(fixture.repo);
    const dryRun = ["prune", "--repo", fixture.repo, "--allow-no-points", "--dry-run"];
    const early = await agentJson<PrunePlan>(...dryRun);
    assert.deepEqual([early.noticed.packs, early.removed.packs], [2, 0]);
    const plan = await agentJson<PrunePlan>(...dryRun, ...NOW);
    assert.deepEqual([plan.noticed.packs, plan.removed.packs], [0, 2]);
    assert.deepEqual(await contentsOf(fixture.repo), before);
    const { removed, kept } = await fixture.prune(...NOW);
    assert.deepEqual([removed, kept], [plan.removed, plan.kept]);
  }),
);

test(
  "a damaged repository is not pruned, and loses nothing more",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    await fixture.change(0, 24 * MIB);
    const second = await fixture.backUp();
    await fixture.forget(first);
    const point = join(fixture.repo, "points", `${second}.json`);
    const intact = await readFile(point, "utf8");
    await writeFile(point, intact.replace("hostname", "hostnome"));
    const packs = await fixture.packBytes();
    for (const _ of [1, 2]) {
      const error = await agentFails(3, "prune", "--repo", fixture.repo, ...NOW);
      assert.deepEqual([error.code, error.object], ["ObjectCorrupt", `points/${second}.json`]);
    }
    assert.equal(await fixture.packBytes(), packs);
    await writeFile(point, intact);
    await fixture.prune(...NOW);
    await fixture.assertRestores(second);
    await fixture.assertTidy();
  }),
);

test(
  "a pack that is missing and needed by no point any more is forgotten by the index",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.backUp();
    for (const pack of await filesBelow(join(fixture.repo, "packs"))) await rm(pack);
    const point = await fixture.backUp();
    assert.equal((await assertWhole(fixture.repo)).notes.length, 2);
    await fixture.prune(...NOW);
    assert.deepEqual((await assertWhole(fixture.repo)).notes, []);
    await fixture.assertRestores(point);
  }),
);

test(
  "small index segments are merged once they are many",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    for (let round = 0; round < 34; round++) {
      await fixture.change(0, 4096);
      await fixture.backUpHere();
    }
    const segments = () => readdir(join(fixture.repo, "index"));
    assert.equal((await segments()).length, 34);
    await fixture.prune();
    assert.equal((await segments()).length, 1);
    await fixture.assertRestores("latest");
    await fixture.assertTidy();
  }),
);

async function contentsOf(repo: string): Promise<string[]> {
  const files = await filesBelow(repo);
  return Promise.all(
    files.sort().map(async (path) => `${path} ${(await readFile(path)).toString("base64").length}`),
  );
}
