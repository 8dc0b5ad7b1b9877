import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { CopyReport } from "../../../agent/maintenance/copy.js";
import { pointKey } from "../../../repository/format/recovery-point.js";
import { sealJson, unsealText } from "../../../repository/format/sealed-json.js";
import { removePoint } from "../../../repository/points/points.js";
import { agent, agentJson } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../../support/encryption.js";
import { verifyInProcess } from "../../support/in-process.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { backUp, initPlain, newRepository, pointIds } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

for (const [kind, init] of [
  ["plain", initPlain],
  ["encrypted", initEncrypted],
] as const) {
  test(`verify names points that were removed, replaced or brought back, and none that were forgotten (${kind})`, async () => {
    const folder = await tempFolder();
    const repo = join(folder, "repo");
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 4096, SeededRandom.fresh());
    await init(repo);
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) ids.push((await backUp(repo, image)).point);
    const [first = "", second = ""] = ids;
    const repository = await openWithPassphrase(repo);
    const found = async () =>
      (await verifyInProcess(repository, 0)).problems.map(({ code, object }) => `${code} ${object}`);
    const path = (id: string) => join(repo, pointKey(id));
    const bytes = await readFile(path(second));
    assert.deepEqual(await found(), []);

    await rm(path(second));
    assert.deepEqual(await found(), [`PointRemoved ${pointKey(second)}`]);
    await writeFile(path(second), bytes);
    await agentJson("forget", second, "--repo", repo);
    assert.deepEqual(await found(), []);

    // As after a kill between tombstone and removal, or when an old object was restored.
    await writeFile(path(second), bytes);
    assert.deepEqual(await found(), [`PointReturned ${pointKey(second)}`]);
    await agentJson("forget", second, "--repo", repo);
    assert.deepEqual(await found(), []);

    await removePoint(repository.storage, first);
    assert.deepEqual(await found(), [`PointRemoved ${pointKey(first)}`]);
  });
}

/** Makes a plain repository with three points of one image. */
async function threePoints() {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const ids: [string, string, string] = ["", "", ""];
  for (let count = 0; count < 3; count++) ids[count] = (await backUp(repo, image)).point;
  return { folder, repo, image, ids };
}

/** Returns the problems of `verify`, and its exit code. */
async function problemsOf(repo: string) {
  const { code, stdout } = await agent("verify", "--repo", repo, "--json");
  const { problems } = JSON.parse(stdout) as { problems: { code: string; object: string }[] };
  return { code, found: problems.map((problem) => `${problem.code} ${problem.object}`) };
}

test("verify names a point that was replaced by another one with its id", async () => {
  const { repo, ids } = await threePoints();
  const path = join(repo, pointKey(ids[1]));
  const body = JSON.parse(unsealText(await readFile(path), ids[1])) as object;
  await writeFile(path, sealJson({ ...body, tags: { made: "by somebody" } }));
  assert.deepEqual(await problemsOf(repo), { code: 3, found: [`PointReplaced ${pointKey(ids[1])}`] });
});

test(
  "verify names a tombstone that is damaged, and forget, prune and backup go on",
  fullDepthOnly,
  async () => {
    const { repo, image, ids } = await threePoints();
    await agentJson("forget", ids[0], ids[1], "--repo", repo);
    const damaged = join(repo, "forgotten", `${ids[1]}.json`);
    const bytes = await readFile(damaged);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(damaged, bytes);
    assert.deepEqual(await problemsOf(repo), { code: 3, found: [`ObjectCorrupt forgotten/${ids[1]}.json`] });
    const { point } = await backUp(repo, image);
    await agentJson("forget", ids[2], "--repo", repo);
    await agentJson("prune", "--repo", repo);
    assert.deepEqual(await pointIds(repo), [point]);
  },
);

test(
  "copy leaves out points that were forgotten in the other repository, unless one is named by its id",
  fullDepthOnly,
  async () => {
    const { folder, repo: from, ids } = await threePoints();
    const to = await newRepository(folder, "to");
    const copy = (...more: string[]) => agentJson<CopyReport>("copy", "--from", from, "--to", to, ...more);
    await copy();
    await agentJson("forget", ids[0], ids[2], "--repo", to);
    for (const chosen of [[], ["latest"]]) {
      const { copied, forgotten } = await copy(...chosen);
      assert.deepEqual([copied, forgotten], [[], chosen.length === 0 ? [ids[0], ids[2]] : [ids[2]]]);
    }
    assert.deepEqual(await problemsOf(to), { code: 0, found: [] });
    const { stdout } = await agent("copy", "--from", from, "--to", to);
    assert.match(stdout, new RegExp(`2 were forgotten there.*\\n  ${ids[0]}\\n  ${ids[2]}\\n`));

    const byId = await copy(ids[0]);
    assert.deepEqual([byId.copied, byId.forgotten], [[ids[0]], []]);
    assert.deepEqual(await pointIds(to), [ids[0], ids[1]]);
  },
);
