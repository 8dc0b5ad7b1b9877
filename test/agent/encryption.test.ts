import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import type { PruneReport } from "../../agent/maintenance/prune.js";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { agent, agentJson, startAgent } from "../support/agent.js";
import { controller } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { TestDevices } from "../support/device-tree.js";
import { initEncrypted, openWithPassphrase, PASSPHRASE } from "../support/encryption.js";
import { INSTANCE, jobVolume } from "../support/jobs.js";
import { SeededRandom } from "../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  failure,
  filesBelow,
  newRepository,
  type VerifyOutput,
} from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";
import { seeded } from "../support/seeded.js";
import { ServedRepository } from "../support/served-repository.js";
import { tempFolder } from "../support/temp-folder.js";
import { agentAsking } from "../support/terminal.js";

async function newEncrypted(): Promise<{ folder: string; repo: string }> {
  const folder = await tempFolder();
  const repo = join(folder, "repo");
  await initEncrypted(repo);
  return { folder, repo };
}

describe("an encrypted repository", () => {
  rootTest(
    "shows nothing of its content: no data, no hash of known data, no ids, no tags, no paths",
    seeded(async (random) => {
      const { folder, repo } = await newEncrypted();
      const image = join(folder, "secret-disk.img");
      const [noise, text] = [random.bytes(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES, "salaries of all staff\n")];
      await writeFile(image, Buffer.concat([noise, text, noise]));
      const served = await ServedRepository.open(repo);
      const devices = await TestDevices.create();
      const volume = jobVolume(0, 3 * CHUNK_BYTES);
      await devices.attachNvme("nvme2n1", volume.volumeId.replace("-", ""), image);
      const job = await served.addJob([volume], { tags: { project: "confidential-merger" } });
      const { code, stdout, stderr } = await served.serveOnce(devices.options);
      assert.equal(code, 0, stdout + stderr);
      await overwriteAtRandom(image, 0, 3 * CHUNK_BYTES, random);
      await backUp(repo, image, "--tag", "owner=board-of-directors");
      await agentJson("forget", "--repo", repo, await served.pointOf(job.id));
      await agentJson<PruneReport>("prune", "--repo", repo);

      const hashes = [noise, text].map((chunk) => createHash("sha256").update(chunk).digest());
      const secrets: (string | Buffer)[] = [
        ...["salaries of all", "secret-disk", folder, '"hostname"', "confidential", "board-of-directors"],
        ...[
          INSTANCE.instanceId,
          INSTANCE.accountId,
          volume.volumeId,
          volume.origin.volumeId,
          INSTANCE.imageId,
        ],
        ...hashes.flatMap((hash) => [hash.subarray(0, 12), hash.toString("hex").slice(0, 16)]),
        noise.subarray(1000, 1016),
        PASSPHRASE,
      ];
      const objects = await filesBelow(repo);
      assert.ok(
        objects.some((path) => path.includes("/jobs/")) && objects.some((path) => path.includes("/prune/")),
      );
      for (const path of objects) {
        const bytes = await readFile(path);
        for (const secret of secrets) {
          assert.equal(bytes.indexOf(secret), -1, `${path} holds ${secret.toString("hex")} ${secret}`);
          assert.ok(!path.slice(repo.length).includes(String(secret)), path);
        }
      }
    }),
  );

  test(
    "is pruned and rewritten as any other, and the remaining points can be restored",
    fullDepthOnly,
    seeded(async (random) => {
      const { folder, repo } = await newEncrypted();
      const image = join(folder, "disk.img");
      await writeRandomFile(image, 12 * CHUNK_BYTES, random);
      const first = await backUp(repo, image, "--threads=1");
      await overwriteAtRandom(image, 2 * CHUNK_BYTES, 10 * CHUNK_BYTES, random);
      const second = await backUp(repo, image, "--threads=1");
      await agentJson("forget", "--repo", repo, first.point);
      const report = await agentJson<PruneReport>("prune", "--repo", repo, "--grace-period", "0s");
      assert.equal(report.rewritten.packs, 1);
      assert.equal(report.kept.packs, 3);
      const dry = await agentJson<PruneReport>("prune", "--repo", repo, "--grace-period", "0s", "--dry-run");
      assert.equal(dry.noticed.packs + dry.rewritten.packs + dry.removed.packs, 0);
      await assertRestores(repo, second.point, image, join(folder, "restored"));
      await assertWhole(repo);
    }),
  );

  test("rejects an object under another's name, or from another repository", fullDepthOnly, async () => {
    const [one, other] = [await newEncrypted(), await newEncrypted()];
    const image = join(one.folder, "disk.img");
    await writeRandomFile(image, CHUNK_BYTES, SeededRandom.fresh());
    const { point } = await backUp(one.repo, image);
    const renamed = `points/${point.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))}.json`;
    for (const [repo, key] of [
      [one.repo, renamed],
      [other.repo, `points/${point}.json`],
    ] as const) {
      await agent("list", "--repo", repo);
      await backUp(repo, image);
      await copyFile(join(one.repo, `points/${point}.json`), join(repo, key));
      const { code, stdout } = await agent("verify", "--repo", repo, "--json");
      const { problems } = JSON.parse(stdout) as VerifyOutput;
      assert.equal(code, 3);
      assert.deepEqual(
        problems.map((problem) => [problem.code, problem.object]),
        [["ObjectCorrupt", key]],
      );
    }
  });

  test("opens for the controller, too", async () => {
    const { repo } = await newEncrypted();
    const { code, stdout } = await controller(["status", "--repo", repo]);
    assert.deepEqual([code, stdout], [0, "No job yet.\n"]);
    const locked = await controller(["status", "--repo", repo, "--json"], { BLOCKFERRY_PASSPHRASE: "" });
    assert.equal(failure(1, locked).code, "RepositoryLocked");
  });
});

describe("a passphrase", async () => {
  const { folder, repo } = await newEncrypted();
  const quiet = { BLOCKFERRY_PASSPHRASE: "" };
  const run = async (...args: string[]) => startAgent([...args, "--json"], quiet).result;
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, { mode: 0o600 });
    return `--passphrase-file=${join(folder, name)}`;
  };

  test("may stand in a file, with a newline at its end", async () => {
    const { code } = await run("list", "--repo", repo, await file("right", `${PASSPHRASE}\n`));
    assert.equal(code, 0);
  });

  test("that is wrong, missing or in no file is distinguished from the others, with the key that it does not open", async () => {
    const wrong = failure(1, await run("list", "--repo", repo, await file("wrong", "another passphrase")));
    assert.equal(wrong.code, "PassphraseWrong");
    assert.match(wrong.message, /keys\/[0-9a-f]{16}\.json/);
    const none = failure(1, await run("list", "--repo", repo));
    assert.equal(none.code, "RepositoryLocked");
    assert.match(none.message, /No passphrase was given for keys\//);
    assert.match(none.remedy, /--passphrase-file or BLOCKFERRY_PASSPHRASE/);
    const noFile = failure(1, await run("list", "--repo", repo, "--passphrase-file=/nowhere"));
    assert.equal(noFile.code, "PassphraseUnavailable");
  });

  test("is asked for on a terminal, and not shown", async () => {
    process.env.BLOCKFERRY_PASSPHRASE = "";
    const typing = { question: `Passphrase of ${repo}`, answer: PASSPHRASE };
    const { code, screen } = await agentAsking(typing, "list", "--repo", repo);
    process.env.BLOCKFERRY_PASSPHRASE = PASSPHRASE;
    assert.equal(code, 0, screen);
    assert.match(screen, /Passphrase of .*repo: \r?\n.*No recovery point yet/s);
    assert.ok(!screen.includes(PASSPHRASE), screen);
  });

  test("file for a repository that is not encrypted is refused: its config may have been replaced", async () => {
    const plain = await newRepository(folder, "plain");
    const error = await agentFails(2, "list", "--repo", plain, await file("any", "some passphrase"));
    assert.match(error.message, /is not encrypted/);
    assert.equal((await run("list", "--repo", plain)).code, 0, "without one it is read as ever");
  });

  test("is never taken from the command line, and a short one not at all", fullDepthOnly, async () => {
    for (const args of [
      ["init", "--repo", join(folder, "new"), "--encrypt", "rot13"],
      ["init", "--repo", join(folder, "new"), "--encrypt", "passphrase:hunter22"],
      ["init", "--repo", join(folder, "new"), "--encrypt", "kms:alias/backups"],
      ["init", "--repo", join(folder, "new"), await file("unused", PASSPHRASE)],
      ["key", "add", "--repo", repo],
      ["key", "remove", "--repo", repo],
      ["key", "list", "abcd", "--repo", repo],
      ["key", "remove", "abcd", "--with", "passphrase", "--repo", repo],
    ]) {
      assert.equal((await agentFails(2, ...args)).code, "Usage", args.join(" "));
    }
    const short = await run(
      "init",
      "--repo",
      join(folder, "new"),
      "--encrypt=passphrase",
      await file("short", "abc"),
    );
    assert.equal(failure(1, short).code, "PassphraseUnavailable");
  });

  test("makes a whole repository through the command line, and is rotated there", fullDepthOnly, async () => {
    const real = join(folder, "real");
    const first = await file("first", "the first passphrase");
    const second = join(folder, "second");
    await writeFile(second, "the second passphrase", { mode: 0o600 });
    assert.equal((await run("init", "--repo", real, "--encrypt", "passphrase", first)).code, 0);
    const { keys } = JSON.parse((await run("key", "list", "--repo", real)).stdout);
    assert.equal(keys.length, 1);
    const rotated = await run(
      ...["key", "rotate", keys[0].id, "--with", "passphrase", "--new-passphrase-file", second],
      ...["--repo", real, first],
    );
    assert.equal(JSON.parse(rotated.stdout).removed, keys[0].id, rotated.stderr);
    assert.equal(failure(1, await run("list", "--repo", real, first)).code, "PassphraseWrong");
    assert.equal((await run("list", "--repo", real, `--passphrase-file=${second}`)).code, 0);
    const last = await run(
      "key",
      "remove",
      JSON.parse(rotated.stdout).added.id,
      "--repo",
      real,
      `--passphrase-file=${second}`,
    );
    assert.equal(failure(1, last).code, "KeyNeeded");
  });
});

test("neither JSON nor a log shows an open repository's key", async () => {
  const { repo } = await newEncrypted();
  const { location } = await openWithPassphrase(repo);
  assert.equal(JSON.stringify(location.key?.dataKey), "{}");
  assert.doesNotMatch(
    inspect(location, { depth: null, showHidden: true }),
    /[0-9a-f]{2} [0-9a-f]{2} [0-9a-f]{2}/,
  );
});
