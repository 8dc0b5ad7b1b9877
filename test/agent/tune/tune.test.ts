import assert from "node:assert/strict";
import { readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Tuning } from "../../../agent/tune/tune.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { newRepository } from "../../support/repositories.js";
import { sha256File } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;

describe("tune", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 8 * MIB, SeededRandom.fresh());
  const repo = await newRepository(folder);
  const measure = ["tune", "--device", image, "--repo", repo];

  test("measures device, cores and uploads, recommends options, and leaves nothing in the repository", async () => {
    const before = { files: await filesIn(repo), image: await sha256File(image) };
    const { figures, advice } = await agentJson<Tuning>(...measure, "--seconds", "1");
    assert.ok(figures.read.length > 3 && figures.upload.length > 3);
    for (const { bytesPerSecond } of [...figures.read, ...figures.upload]) assert.ok(bytesPerSecond > 0);
    assert.ok(figures.storedShare > 0.9, "random bytes do not get smaller");
    assert.ok(["device", "cpu", "network"].includes(String(advice.bottleneck)));
    assert.equal(advice.bytesPerSecond, Math.min(...Object.values(advice.limits).map(Number)));
    assert.deepEqual(await filesIn(repo), before.files);
    assert.equal(await sha256File(image), before.image);
  });

  test("leaves nothing when it is interrupted while it uploads", async () => {
    const before = await filesIn(repo);
    const running = startAgent([...measure, "--seconds", "60"]);
    await waitUntil("a test upload", async () => (await filesIn(repo)).length > before.length, 60_000);
    running.process.kill("SIGINT");
    assert.equal((await running.result).code, 130);
    assert.deepEqual(await filesIn(repo), before);
  });

  test("takes a device of zeros", async () => {
    const zeros = join(folder, "zeros.img");
    await writeFile(zeros, "");
    await truncate(zeros, MIB);
    const { advice } = await agentJson<Tuning>("tune", "--device", zeros, "--seconds", "0.5");
    assert.ok(advice.threads >= 1 && advice.queueDepth >= 1 && advice.bottleneck !== null);
  });

  test("reports that there is nothing to measure on an empty device, and names no bottleneck", async () => {
    const empty = join(folder, "empty.img");
    await writeFile(empty, "");
    const measureEmpty = ["tune", "--device", empty, "--seconds", "0.5"];
    const { code, stdout } = await agent(...measureEmpty);
    assert.equal(code, 0);
    assert.match(stdout, /^There is nothing to measure: the devices are empty\./);
    assert.doesNotMatch(stdout, /bottleneck|Run:/);
    const { advice } = await agentJson<Tuning>(...measureEmpty);
    assert.equal(advice.bottleneck, null);
    assert.ok(advice.threads >= 1 && advice.queueDepth >= 1);
  });

  test("backup --threads auto measures first, and prints its choice", async () => {
    const { code, stderr } = await agent("backup", "--repo", repo, "--device", image, "--threads", "auto");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /--threads auto: threads \d+, reads in flight of each \d+/);
  });
});

/** Returns the files of a repository, without its reserve, which every run that writes completes. */
async function filesIn(repo: string): Promise<string[]> {
  const entries = await readdir(repo, { recursive: true });
  const isFile = await Promise.all(
    entries.map((name) => stat(join(repo, name)).then((found) => found.isFile())),
  );
  return entries.filter((name, number) => isFile[number] && !name.startsWith("reserve/")).sort();
}
