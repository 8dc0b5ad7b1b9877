import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AGENT, agentJson, startAgent } from "../../support/agent.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, failure, filesBelow, newRepository } from "../../support/repositories.js";
import { runTool } from "../../support/run-tool.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;

describe("an export", async () => {
  const random = SeededRandom.fresh();
  const folder = await tempFolder();
  const temporary = join(folder, "tmp");
  const image = join(folder, "disk.img");
  const large = join(folder, "large.img");
  let repo = "";
  before(async () => {
    repo = await newRepository(folder);
    await mkdir(temporary);
    await writeMixedImage(image, 20 * MIB + 300, random);
    await writeRandomFile(large, 200 * MIB, random);
    await backUp(repo, [`${image}=disk`, `${large}=large`]);
  });
  const exportArgs = (volume: string, format: string, target: string) => [
    ...["export", "--repo", repo, "--point", "latest"],
    ...["--volume", volume, "--format", format, target],
  ];

  const converting = needing("qemu-img");
  for (const format of ["raw", "qcow2", "vmdk"] as const) {
    test(`to ${format} gives an image of the same content, for its owner alone`, converting, async () => {
      const target = join(folder, `disk.${format}`);
      const output = await agentJson<{ volume: string; sizeBytes: number; imageBytes: number }>(
        ...exportArgs("disk", format, target),
      );
      assert.equal(output.sizeBytes, 20 * MIB + 300);
      assert.equal((await stat(target)).mode & 0o777, 0o600);
      assert.equal(output.imageBytes, (await stat(target)).blocks * 512);
      const raw = join(folder, `from-${format}.img`);
      await runTool("qemu-img", "convert", "-f", format, "-O", "raw", target, raw);
      // These formats require at least one sector of 512 bytes.
      await runTool("truncate", `--size=${20 * MIB + 300}`, raw);
      await assertSameContent(raw, image);
      if (format === "raw") await assertSameContent(target, image);
    });
  }

  test("replaces nothing, not even a link that leads nowhere", needing("qemu-img"), async () => {
    const taken = join(folder, "taken.qcow2");
    const link = join(folder, "link.qcow2");
    await writeFile(taken, "precious");
    await symlink(join(folder, "nowhere"), link);
    for (const target of [taken, link, folder]) {
      const error = await agentFails(1, ...exportArgs("disk", "qcow2", target));
      assert.equal(error.code, "TargetNotEmpty");
    }
    assert.equal(await readFile(taken, "utf8"), "precious");
    await assert.rejects(stat(join(folder, "nowhere")), { code: "ENOENT" });
    const error = await agentFails(1, ...exportArgs("disk", "qcow2", join(folder, "no-folder", "x")));
    assert.equal(error.code, "TargetNotUsable");
  });

  test("names the package to install when qemu-img is missing", async () => {
    const target = join(folder, "impossible.qcow2");
    const result = await startAgent([...exportArgs("disk", "qcow2", target), "--json"], {
      PATH: "/nonexistent",
    }).result;
    const error = failure(1, result);
    assert.equal(error.code, "ToolMissing");
    assert.match(error.remedy, /qemu-utils/);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(
      `that ${signal} ends leaves nothing: no image, no socket, no process, no lease`,
      converting,
      async () => {
        const place = join(folder, signal);
        await mkdir(place);
        const target = join(place, "large.qcow2");
        const args = [...exportArgs("large", "qcow2", target), "--json"];
        const run = startAgent(args, { TMPDIR: temporary });
        await waitUntil("the image to grow", async () => {
          assert.equal(run.process.exitCode, null, "it ended before it was told to");
          const [partial] = await readdir(place);
          return partial !== undefined && (await stat(join(place, partial))).size > MIB;
        });
        run.process.kill(signal);
        assert.equal(failure(130, await run.result).code, "Interrupted");
        assert.deepEqual(await readdir(place), []);
        assert.deepEqual(await readdir(temporary), []);
        assert.deepEqual(await filesBelow(join(repo, "locks")), []);
      },
    );
  }

  test("that runs out of room reports that and leaves nothing", needing("qemu-img"), async () => {
    const place = join(folder, "full");
    await mkdir(place);
    const target = join(place, "large.raw");
    // 32 MiB in blocks of 1 KiB, and no signal for a process that writes more.
    const limited = ["bash", "-c", "ulimit -f 32768; trap '' XFSZ; exec \"$@\"", "bash"] as const;
    const args = [...exportArgs("large", "raw", target), "--json"];
    const said = await runTool(...limited, process.execPath, AGENT, ...args).catch(
      (error: { stdout: string }) => error.stdout,
    );
    const { error } = JSON.parse(said) as { error: { code: string; message: string } };
    assert.equal(error.code, "ExportFailed");
    assert.match(error.message, /File too large/);
    assert.deepEqual(await readdir(place), []);
  });
});
