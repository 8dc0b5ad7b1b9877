import assert from "node:assert/strict";
import { link, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { before, describe, test } from "node:test";
import { refuseMetricsFiles } from "../../../agent/cli/output-options.js";
import { agent } from "../../support/agent.js";
import { WORKER } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, newRepository, pointIds } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const OPTIONS = ["--metrics-file", "--emf-file"] as const;

describe("a file of metrics", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const [prometheus, emf] = [join(folder, "own.prom"), join(folder, "own.log")];
  let repo: string;
  let content: Buffer;
  before(async () => {
    repo = await newRepository(folder);
    await writeRandomFile(image, MIB, SeededRandom.fresh());
    content = await readFile(image);
    await backUp(repo, image, "--metrics-file", prometheus, "--emf-file", emf);
  });

  for (const option of OPTIONS) {
    test(`of ${option} that is an image is refused before the run, and stays unchanged`, async () => {
      const points = await pointIds(repo);
      const { code, object } = await agentFails(
        1,
        "backup",
        "--repo",
        repo,
        "--device",
        image,
        option,
        image,
      );
      assert.deepEqual([code, object], ["MetricsNotWritable", image]);
      assert.deepEqual(await pointIds(repo), points);
      assert.ok(content.equals(await readFile(image)));
    });

    test(`of ${option} that is not a file of metrics is refused, and not opened`, async () => {
      const pipe = join(folder, `pipe${option}`);
      await runTool("mkfifo", pipe);
      const disguised = join(folder, `link${option}`);
      await symlink("disk.img", disguised);
      for (const path of [pipe, disguised, folder, "/dev/null", join(repo, "config.json")]) {
        await assert.rejects(refuse(option, path), { code: "MetricsNotWritable", object: path });
      }
      await assert.rejects(refuse("--metrics-file", emf), { code: "MetricsNotWritable" });
      await assert.rejects(refuse("--emf-file", prometheus), { code: "MetricsNotWritable" });
    });

    test(`of ${option} that a restore has just replaced by an image is not treated as metrics`, async () => {
      const target = join(folder, `restored${option}.img`);
      const restore = ["restore", "--repo", repo, "--point", "latest", "--target", target];
      const { code, stderr } = await agent(...restore, option, target);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /note: .*Metrics cannot be written to .*restored/);
      assert.ok(content.equals(await readFile(target)));
    });

    test(`of ${option} is accepted if it does not exist, is empty, or holds metrics`, async () => {
      const empty = join(folder, `empty${option}`);
      await writeFile(empty, "");
      const own = option === "--emf-file" ? emf : prometheus;
      for (const path of [empty, own, join(folder, "new"), join(folder, "none", "new"), join(image, "new")]) {
        await refuse(option, path);
      }
    });
  }

  rootTest("is refused where a device is, which stays one", async () => {
    const device = join(folder, "device");
    await runTool("mknod", device, "b", "7", "250");
    for (const option of OPTIONS) {
      const { code } = await agentFails(1, "verify", "--repo", repo, option, device);
      assert.equal(code, "MetricsNotWritable");
    }
    assert.ok((await stat(device)).isBlockDevice());
  });

  test("that is not usable ends a service before it looks for jobs", async () => {
    const serve = ["serve", "--repo", repo, "--worker-id", WORKER, "--once"];
    assert.equal((await agentFails(1, ...serve, "--emf-file", image)).code, "MetricsNotWritable");
    assert.ok(content.equals(await readFile(image)));
  });

  test("that another option also names is refused, by whichever path", async () => {
    const inner = join(folder, "inner");
    await mkdir(inner);
    await symlink(inner, join(folder, "other"));
    await symlink("inner/one", join(folder, "dangling"));
    await writeFile(join(folder, "first"), "");
    await link(join(folder, "first"), join(folder, "second"));
    const one = join(inner, "one");
    for (const [path, same] of [
      [one, one],
      [one, relative(process.cwd(), one)],
      [one, join(folder, "other", "one")],
      [one, join(folder, "dangling")],
      [join(folder, "none", "one"), join(folder, "none", ".", "one")],
      [join(folder, "first"), join(folder, "second")],
    ] as const) {
      const both = { metricsFile: path, emfFile: same };
      await assert.rejects(refuseMetricsFiles(both), { code: "Usage" }, same);
      await assert.rejects(refuseMetricsFiles({ ...both, metricsFile: undefined }, path), { code: "Usage" });
    }
    await refuseMetricsFiles({ metricsFile: one, emfFile: "-" }, join(inner, "two"));
    const report = ["--metrics-file", join(folder, "both"), "--report", join(folder, "both")];
    const { code } = await agentFails(2, "backup", "--repo", repo, "--device", image, ...report);
    assert.equal(code, "Usage");
    assert.ok(!(await readdir(folder)).includes("both"));
  });
});

function refuse(option: (typeof OPTIONS)[number], path: string): Promise<void> {
  const [metricsFile, emfFile] = option === "--emf-file" ? [undefined, path] : [path, undefined];
  return refuseMetricsFiles({ metricsFile, emfFile });
}
