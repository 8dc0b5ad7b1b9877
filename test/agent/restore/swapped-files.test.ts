import assert from "node:assert/strict";
import { chmod, chown, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe } from "node:test";
import { agent } from "../../support/agent.js";
import { byDepth } from "../../support/depth.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import { agentFails, backUp, newRepository } from "../../support/repositories.js";
import { rootTest } from "../../support/root-test.js";
import { withSwapper } from "../../support/swapper.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const NOBODY = 65_534;
const TRIES = byDepth({ quick: 1, full: 3 });
const SECRET = "root:secret\n";

describe("a file that root writes in a folder of another user", async () => {
  const folder = await tempFolder();
  const [image, victim, theirs] = [join(folder, "disk.img"), join(folder, "shadow"), join(folder, "theirs")];
  let repo: string;
  before(async () => {
    await chmod(folder, 0o711);
    repo = await newRepository(folder);
    await writeMixedImage(image, 5 * MIB, SeededRandom.fresh());
    await backUp(repo, image);
  });

  /** All commands that write to a file that the user names. */
  const writers: Record<string, { refusal: string; options?: object; args(path: string): string[] }> = {
    "a restore": {
      refusal: "TargetNotUsable",
      args: (path) => ["restore", "--repo", repo, "--point", "latest", "--target", path],
    },
    "a restore with --force": {
      refusal: "TargetNotUsable",
      args: (path) => ["restore", "--repo", repo, "--point", "latest", "--force", "--target", path],
    },
    ...Object.fromEntries(
      (["raw", "qcow2", "vmdk"] as const).map((format) => [
        `an export to ${format}`,
        {
          refusal: "TargetNotEmpty",
          options: needing("qemu-img"),
          args: (path: string) => ["export", "--repo", repo, "--point", "latest", "--format", format, path],
        },
      ]),
    ),
    ...Object.fromEntries(
      (
        [
          ["--report", "ReportNotWritable"],
          ["--metrics-file", "MetricsNotWritable"],
          ["--emf-file", "MetricsNotWritable"],
        ] as const
      ).map(([option, refusal]) => [
        `a backup with ${option}`,
        { refusal, args: (path: string) => ["backup", "--repo", repo, "--device", image, option, path] },
      ]),
    ),
  };

  const prepare = async () => {
    await writeFile(victim, SECRET);
    await chmod(victim, 0o600);
    await rm(theirs, { recursive: true, force: true });
    await mkdir(theirs);
    await chown(theirs, NOBODY, NOBODY);
  };
  const assertVictimUntouched = async (what: string) => {
    const { uid, mode } = await stat(victim);
    assert.deepEqual([uid, mode & 0o7777], [0, 0o600], what);
    assert.equal(await readFile(victim, "utf8"), SECRET, what);
  };

  for (const [name, { refusal, options = {}, args }] of Object.entries(writers)) {
    rootTest(`by ${name} is refused where their link is, or leads into its folder`, options, async () => {
      await prepare();
      await writeFile(victim, "");
      await symlink(victim, join(theirs, "link"));
      await symlink(folder, join(theirs, "way"));
      await symlink("/nonexistent/file", join(theirs, "dangling"));
      for (const path of ["link", "dangling"]) {
        const error = await agentFails(1, ...args(join(theirs, path)));
        assert.equal(error.code, refusal, path);
      }
      const error = await agentFails(1, ...args(join(theirs, "way", "shadow")));
      assert.equal(error.code, refusal === "TargetNotEmpty" ? "TargetNotUsable" : refusal);
      assert.match(error.message, /symbolic link in a folder that other users can change/);
      assert.equal((await stat(victim)).size, 0);
    });

    rootTest(`by ${name} changes nothing elsewhere while they swap it for a link`, options, async () => {
      for (let attempt = 0; attempt < TRIES; attempt++) {
        await prepare();
        await withSwapper(theirs, victim, async () => {
          const { code, stderr } = await agent(...args(join(theirs, "out")));
          assert.ok(code === 0 || code === 1, stderr);
        });
        await assertVictimUntouched(`attempt ${attempt}`);
      }
    });
  }
});
