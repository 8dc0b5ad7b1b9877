import assert from "node:assert/strict";
import { mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { PruneReport } from "../../agent/maintenance/prune.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { initRepository } from "../../repository/open/repository.js";
import { agent, agentJson } from "../support/agent.js";
import { byDepth, fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { makeJob } from "../support/jobs.js";
import { runMeasured } from "../support/peak-memory.js";
import { SeededRandom } from "../support/random.js";
import {
  agentFails,
  backUp,
  type ListOutput,
  newRepository,
  type VerifyOutput,
} from "../support/repositories.js";
import { assertSameContent } from "../support/same-content.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 2 ** 20;
const MAX_RSS_BYTES = 512 * MIB;
/**
 * One byte above the limit of nearly all objects; above the limit of a string; of a read in Node; of a
 * Buffer; above memory and disk.
 */
const SIZES = byDepth({
  quick: [16 * MIB + 1, 2 ** 42],
  full: [16 * MIB + 1, 600 * MIB, 2 ** 31, 2 ** 33, 2 ** 42],
});
const HOSTILE_POINT = "points/20300101T000000Z-00000000.json";
const HOSTILE_SEGMENT = `index/${"0".repeat(64)}`;
const HOSTILE_PRUNE = "prune/0000000000000000.json";
const JOB = "job-20261123T112150Z-3f9a1c2b";

describe("an object that is larger than any that is written", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const target = join(folder, "restored.img");
  await writeMixedImage(image, 3 * MIB + 123, new SeededRandom("oversized"));
  const repo = await newRepository(folder);
  const { point } = await backUp(repo, image);

  async function withObject(key: string, sizeBytes: number, use: () => Promise<void>): Promise<void> {
    await mkdir(dirname(join(repo, key)), { recursive: true });
    await writeFile(join(repo, key), "");
    await truncate(join(repo, key), sizeBytes);
    try {
      await use();
    } finally {
      await rm(join(repo, key));
    }
  }

  async function assertPointRestores(): Promise<void> {
    const args = ["restore", "--repo", repo, "--point", point, "--target", target, "--force"];
    const { peakBytes } = await runMeasured(args);
    assert.ok(peakBytes < MAX_RSS_BYTES, `${peakBytes} bytes`);
    await assertSameContent(target, image);
  }

  async function pruneNames(key: string): Promise<void> {
    const { unreadable } = await agentJson<PruneReport>("prune", "--repo", repo);
    assert.deepEqual(
      unreadable.map(({ code, object }) => ({ code, object })),
      [{ code: "ObjectCorrupt", object: key }],
    );
  }

  async function verifyFinds(key: string, expected = "ObjectCorrupt"): Promise<VerifyOutput> {
    const { code, stdout, stderr } = await agent("verify", "--repo", repo, "--json");
    assert.equal(code, 3, stderr);
    const report = JSON.parse(stdout) as VerifyOutput;
    assert.deepEqual(
      report.problems.map(({ code, object }) => ({ code, object })),
      [{ code: expected, object: key }],
    );
    assert.deepEqual(report.damaged, []);
    return report;
  }

  for (const sizeBytes of SIZES) {
    test(`reports a recovery point of ${sizeBytes} bytes as damaged, and the others can be restored`, () =>
      withObject(HOSTILE_POINT, sizeBytes, async () => {
        const { code, stdout } = await agent("list", "--repo", repo, "--json");
        assert.equal(code, 3);
        const { points, damaged } = JSON.parse(stdout) as ListOutput;
        assert.deepEqual(
          [points.map(({ id }) => id), damaged.map((one) => one.object)],
          [[point], [HOSTILE_POINT]],
        );
        assert.match(damaged[0]?.message ?? "", new RegExp(`it has ${sizeBytes} bytes`));
        assert.equal((await verifyFinds(HOSTILE_POINT)).points, 1);
        await assertPointRestores();
        await backUp(repo, image, "--report", join(folder, "page.html")).then(({ point: newer }) =>
          rm(join(repo, "points", `${newer}.json`)),
        );
      }));
  }

  for (const sizeBytes of SIZES.slice(1)) {
    test(`is replaced by repair index where a segment of ${sizeBytes} bytes is, and nothing is lost`, () =>
      withObject(HOSTILE_SEGMENT, sizeBytes, async () => {
        await verifyFinds(HOSTILE_SEGMENT);
        await assertPointRestores();
        await agentJson("repair", "index", "--repo", repo);
        await agentJson("verify", "--repo", repo);
        await writeFile(join(repo, HOSTILE_SEGMENT), "");
      }));

    test(`is named by prune, and hinders no restore, where a condemnation of ${sizeBytes} bytes is`, () =>
      withObject(HOSTILE_PRUNE, sizeBytes, async () => {
        await verifyFinds(HOSTILE_PRUNE);
        await assertPointRestores();
        await pruneNames(HOSTILE_PRUNE);
      }));

    test(`is named by prune, and hinders no restore, where a lease of ${sizeBytes} bytes is`, () =>
      withObject("locks/0000000000000000.json", sizeBytes, async () => {
        await assertPointRestores();
        await backUp(repo, image).then(({ point: newer }) => rm(join(repo, "points", `${newer}.json`)));
        await pruneNames("locks/0000000000000000.json");
      }));

    test(`fails every command where config.json has ${sizeBytes} bytes`, async () => {
      const other = join(folder, `config-${sizeBytes}`);
      await initRepository(other);
      await truncate(join(other, "config.json"), sizeBytes);
      const { code, object } = await agentFails(3, "list", "--repo", other);
      assert.deepEqual([code, object], ["ObjectCorrupt", "config.json"]);
      assert.equal((await agentFails(1, "init", "--repo", other)).code, "RepositoryExists");
    });
  }

  test("does not end a service where a job is", async () => {
    const { id: repository } = (await initRepository(join(folder, "served"))).config;
    const served = join(folder, "served");
    const other = makeJob(repository, [], { id: JOB });
    await mkdir(join(served, "jobs", JOB), { recursive: true });
    await writeFile(join(served, "jobs", JOB, "job.json"), sealJson(other));
    await truncate(join(served, "jobs", JOB, "job.json"), 2 ** 31);
    const { code, stderr } = await agent("serve", "--repo", served, "--worker-id", "i-0123", "--once");
    assert.equal(code, 0, stderr);
  });

  test(
    "and one as large as allowed, of the costliest content, takes bounded memory",
    fullDepthOnly,
    async () => {
      const tags = Object.fromEntries(Array.from({ length: 524_000 }, (_, tag) => [`k${tag}`, 0]));
      const badRanges = Array.from({ length: 174_000 }, () => ({ a: 0 }));
      const { points } = await agentJson<ListOutput>("list", "--repo", repo);
      const [good] = points;
      const volume = { ...good?.volumes[0], badRanges };
      for (const body of [
        { ...good, tags },
        { ...good, volumes: [volume] },
      ]) {
        await writeFile(join(repo, HOSTILE_POINT), sealJson(body));
        await assertPointRestores();
        await verifyFinds(HOSTILE_POINT, "RepositoryUnsupported");
      }
      await rm(join(repo, HOSTILE_POINT));
    },
  );
});
