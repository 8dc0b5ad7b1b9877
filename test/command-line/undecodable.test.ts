import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { ErrorRecord } from "../../foundation/errors.js";
import { AGENT, agent } from "../support/agent.js";
import { CONTROLLER } from "../support/controller.js";
import { agentFails, assertWhole, backUp, newRepository, pointIds } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";

/** A name that is not UTF-8, and its form in a shell. */
const BYTES = Buffer.from(
  [0xff, 0xfe, ..."it's.img"].map((one) => (typeof one === "string" ? one.charCodeAt(0) : one)),
);
const SHOWN = String.raw`$'\xff\xfeit\x27s.img'`;

/** Runs a shell script with arguments; NAME in it stands for the bytes. Returns the error of a program. */
async function failsInShell(script: string, ...args: string[]): Promise<ErrorRecord> {
  const bytes = `NAME=$(printf '\\377\\376it\\047s.img'); ${script}`;
  const stdout = await runTool("sh", "-c", `${bytes}; test $? = 2`, ...args);
  return (JSON.parse(stdout) as { error: ErrorRecord }).error;
}

describe("a name that is not UTF-8", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const named = Buffer.concat([Buffer.from(`${folder}/`), BYTES]);
  before(() => writeFile(named, Buffer.alloc(4096, 5)));

  const cases = {
    device: ["backup", "--repo", repo, "--device", "NAME"],
    "device with a name": ["backup", "--repo", repo, "--device", "NAME=disk"],
    target: ["restore", "--repo", repo, "--point", "latest", "--target=NAME"],
    repository: ["list", "--repo", "NAME"],
    "passphrase file": ["list", "--repo", repo, "--passphrase-file", "NAME"],
  };
  for (const [what, args] of Object.entries(cases)) {
    test(`is refused as a ${what}, and the argument is shown`, async () => {
      const words = args.map((arg) => `"${arg.replace("NAME", `${folder}/$NAME`)}"`).join(" ");
      const error = await failsInShell(`"$0" "$1" ${words} --json`, process.execPath, AGENT);
      assert.equal(error.code, "Usage");
      const position = args.findIndex((arg) => arg.includes("NAME")) + 1;
      assert.ok(error.message.startsWith(`Argument ${position}, `), error.message);
      assert.ok(error.message.includes(SHOWN.slice(2, -1)), error.message);
      assert.match(error.remedy, /Rename/);
    });
  }

  test("is refused by the controller, too", async () => {
    const error = await failsInShell('"$0" "$1" points --repo "$NAME" --json', process.execPath, CONTROLLER);
    assert.ok(error.message.startsWith(`Argument 3, ${SHOWN},`), error.message);
  });

  test("is refused in variables that hold paths, and no passphrase is shown", async () => {
    for (const variable of [
      "BLOCKFERRY_STATE_DIR",
      "XDG_STATE_HOME",
      "AWS_CA_BUNDLE",
      "BLOCKFERRY_REPO",
      "TMPDIR",
    ]) {
      const script = `export ${variable}="$NAME"; "$0" "$1" list --repo "$2" --json`;
      const error = await failsInShell(script, process.execPath, AGENT, repo);
      assert.ok(error.message.startsWith(`The variable ${variable}, ${SHOWN},`), error.message);
    }
    const others =
      'export BLOCKFERRY_NEW_PASSPHRASE="$NAME" LS_COLORS="$NAME"; "$0" "$1" list --repo "$2" --json';
    await assert.rejects(failsInShell(others, process.execPath, AGENT, repo), "the command succeeds");
  });

  test("may be the character that Node puts in the place of wrong bytes", async () => {
    const image = join(folder, "\ufffd.img");
    await writeFile(image, Buffer.alloc(4096, 6));
    await backUp(repo, `${image}=disk`);
  });

  test("is named when a target is a symbolic link to it", async () => {
    await symlink(named, join(folder, "link.img"));
    await backUp(repo, `${join(folder, "link.img")}=disk`);
    const args = ["restore", "--repo", repo, "--point", "latest", "--force"];
    const error = await agentFails(1, ...args, "--target", join(folder, "link.img"));
    assert.equal(error.code, "TargetNotUsable");
    assert.ok(
      error.message.includes(`a symbolic link to`) && error.message.includes(SHOWN.slice(2, -1)),
      error.message,
    );
    assert.deepEqual(await readFile(named), Buffer.alloc(4096, 5));
  });

  test("of a repository does not make it another one, when two links lead to two of them", async () => {
    for (const number of [1, 2]) {
      const real = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xf0 + number])]);
      await mkdir(real);
      await symlink(real, join(folder, `repo-${number}`));
      const { code, stderr } = await agent("init", "--repo", join(folder, `repo-${number}`));
      assert.equal(code, 0, stderr);
    }
    for (const number of [1, 2]) assert.deepEqual(await pointIds(join(folder, `repo-${number}`)), []);
  });

  test("inside a repository stops no command", async () => {
    for (const inside of ["packs", "index", "points", "locks"]) {
      await runTool(
        "sh",
        "-c",
        'mkdir -p "$0/$1"; cd "$0/$1"; : > "$(printf "\\377")"; mkdir "$(printf "\\376")"',
        repo,
        inside,
      );
    }
    await backUp(repo, `${join(folder, "link.img")}=disk`);
    await assertWhole(repo);
    for (const args of [["prune"], ["list"], ["stats"]]) {
      const { code, stderr } = await agent(...args, "--repo", repo);
      assert.equal(code, 0, stderr);
    }
  });

  rootTest("of a mount point is shown when a mounted device is refused", async () => {
    const image = join(folder, "mounted.img");
    await writeFile(image, Buffer.alloc(2 ** 20));
    await runTool("mke2fs", "-q", "-F", image);
    const device = await runTool("losetup", "--find", "--show", image);
    try {
      const script = 'cd "$0"; NAME=$(printf "a b\\377"); mkdir "$NAME"; mount "$1" "$NAME"';
      await runTool("sh", "-ec", script, folder, device);
      const error = await agentFails(1, "restore", "--repo", repo, "--point", "latest", "--target", device);
      assert.equal(error.code, "TargetInUse");
      assert.ok(error.message.includes(String.raw`a b\xff'`), error.message);
    } finally {
      await runTool("umount", device).catch(() => undefined);
      await runTool("losetup", "--detach", device);
    }
  });
});
