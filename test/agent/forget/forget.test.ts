import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pointKey, type RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { openRepository } from "../../../repository/open/repository.js";
import { writePoint } from "../../../repository/points/points.js";
import { agent, agentJson } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { INSTANCE } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, newRepository, pointIds } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

/** The output of `forget --json`. */
interface ForgetOutput {
  dryRun: boolean;
  forgotten: string[];
  groups: { name: string; points: { id: string; keptBy: string[] }[] }[];
}

/** Makes a repository with a point for each day of the month so far; all have the same content. */
async function monthOfPoints(days: number, more: Partial<RecoveryPoint> = {}): Promise<string> {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const repo = await newRepository(folder);
  await backUp(repo, image);
  const { storage } = await openRepository(repo);
  const { points } = await agentJson<{ points: RecoveryPoint[] }>("list", "--repo", repo);
  const [point] = points as [RecoveryPoint];
  await storage.delete([pointKey(point.id)]);
  for (let day = 1; day <= days; day++) {
    const date = `2026-10-${String(day).padStart(2, "0")}`;
    const id = `${date.replaceAll("-", "")}T120000Z-00000000`;
    await writePoint(storage, { ...point, ...more, id, createdAt: `${date}T12:00:00.000Z` });
  }
  return repo;
}

const idOf = (day: number) => `202610${String(day).padStart(2, "0")}T120000Z-00000000`;

test(
  "a dry run shows which rule keeps which point and changes nothing; a real run forgets the others",
  fullDepthOnly,
  async () => {
    const repo = await monthOfPoints(5);
    const args = ["forget", "--repo", repo, "--keep-last", "1", "--keep-daily", "2"];
    const planned = await agentJson<ForgetOutput>(...args, "--dry-run");
    assert.deepEqual(planned.forgotten, [idOf(3), idOf(2), idOf(1)]);
    assert.deepEqual(
      planned.groups[0]?.points.map(({ keptBy }) => keptBy),
      [["last", "daily"], ["daily"], [], [], []],
    );
    assert.equal((await pointIds(repo)).length, 5);
    const { stdout } = await agent(...args, "--dry-run");
    assert.match(stdout, /kept: last, daily\n.*kept: daily\n.*forgotten/);
    const done = await agentJson<ForgetOutput>(...args, "--yes");
    assert.deepEqual(done.forgotten, planned.forgotten);
    assert.deepEqual(await pointIds(repo), [idOf(4), idOf(5)]);
  },
);

test("points are forgotten by their ids, and an unknown id stops the command before it forgets anything", async () => {
  const repo = await monthOfPoints(3);
  const error = await agentFails(1, "forget", "--repo", repo, idOf(1), "20200101");
  assert.equal(error.code, "PointNotFound");
  assert.equal((await pointIds(repo)).length, 3);
  await agentJson("forget", "--repo", repo, idOf(1), "20261003");
  assert.deepEqual(await pointIds(repo), [idOf(2)]);
});

test("--instance and --tag narrow the rules down", async () => {
  const repo = await monthOfPoints(3, { instance: INSTANCE, tags: { env: "test", team: "shop" } });
  for (const filter of [
    ["--instance", "i-0ccccccccccccccc3"],
    ["--tag", "env=production"],
  ]) {
    const { forgotten } = await agentJson<ForgetOutput>("forget", "--repo", repo, "--keep-last=1", ...filter);
    assert.deepEqual(forgotten, []);
  }
  const filters = ["--instance", INSTANCE.instanceId, "--tag", "env=test", "--tag", "team=shop"];
  await agentJson("forget", "--repo", repo, "--keep-last=1", "--yes", ...filters);
  assert.deepEqual(await pointIds(repo), [idOf(3)]);
});

test("a damaged point stops the rules, and can be forgotten by its id", async () => {
  const repo = await monthOfPoints(3);
  const path = join(repo, pointKey(idOf(2)));
  await writeFile(path, (await readFile(path, "utf8")).replace("hostname", "hostnome"));
  const error = await agentFails(3, "forget", "--repo", repo, "--keep-last=1");
  assert.deepEqual([error.code, error.object], ["ObjectCorrupt", pointKey(idOf(2))]);
  await agentJson("forget", "--repo", repo, idOf(2));
  assert.deepEqual(await pointIds(repo), [idOf(1), idOf(3)]);
});

test("wrong usage forgets nothing", fullDepthOnly, async () => {
  const repo = await monthOfPoints(1);
  const wrong = [
    [],
    ["20261001", "--keep-last=1"],
    ["20261001", "--tag=env=test"],
    [""],
    ["2026"],
    ["--keep-daily=some"],
    ["--keep-daily=-1"],
    ["--keep-last=1", "--tag=env"],
  ];
  for (const args of wrong)
    assert.equal((await agentFails(2, "forget", "--repo", repo, ...args)).code, "Usage");
  assert.deepEqual(await pointIds(repo), [idOf(1)]);
});
