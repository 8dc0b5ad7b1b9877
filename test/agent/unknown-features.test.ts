import assert from "node:assert/strict";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { CONFIG_KEY } from "../../repository/format/config.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { readConfig } from "../../repository/open/open-config.js";
import { LocalDirectory } from "../../repository/storage/local/local-directory.js";
import { FIXTURE_PASSPHRASE, FIXTURES } from "../fixtures/fixtures.js";
import { agentJson } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, PASSPHRASE } from "../support/encryption.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import {
  agentFails,
  assertRestores,
  backUp,
  filesBelow,
  initPlain,
  restoreTo,
} from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";

process.env.BLOCKFERRY_NEW_PASSPHRASE = "another passphrase";
process.env.BLOCKFERRY_FROM_PASSPHRASE = PASSPHRASE;

async function folderWithImage(): Promise<{ folder: string; image: string }> {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 3_000_000, SeededRandom.fresh());
  return { folder, image };
}

/** Marks a feature of the future in `config.json` as required for writers. */
async function needFeature(repo: string): Promise<void> {
  const config = await readConfig(new LocalDirectory(repo));
  const features = { read: [], write: ["zones"] };
  await writeFile(join(repo, CONFIG_KEY), sealJson({ ...config, features }));
}

async function somePack(repo: string): Promise<string> {
  const [path = ""] = await filesBelow(join(repo, "packs"));
  return basename(path);
}

async function contents(repo: string): Promise<Record<string, string>> {
  const files = (await filesBelow(repo)).sort();
  const entries = files.map(async (path) => [path, (await readFile(path)).toString("base64")]);
  return Object.fromEntries(await Promise.all(entries));
}

for (const [kind, init] of [
  ["plain", initPlain],
  ["encrypted", initEncrypted],
] as const) {
  const options = kind === "plain" ? {} : fullDepthOnly;
  test(
    `a repository (${kind}) with a feature unknown for writing can be read, and no command changes it`,
    options,
    async () => {
      const { folder, image } = await folderWithImage();
      const repo = join(folder, kind);
      await init(repo);
      const { point } = await backUp(repo, `${image}=v`);
      const other = join(folder, `${kind}-other`);
      await init(other);
      await needFeature(repo);
      const before = await contents(repo);
      const at = ["--repo", repo];
      for (const args of [
        ["backup", ...at, "--device", image],
        ["forget", ...at, point],
        ["prune", ...at, "--grace-period=0s"],
        ["repair", "index", ...at],
        ["repair", "packs", await somePack(repo), ...at],
        ["copy", "--from", other, "--to", repo],
        ...(kind === "encrypted" ? [["key", "add", ...at, "--with", "passphrase"]] : []),
      ]) {
        const error = await agentFails(1, ...args);
        assert.equal(error.code, "RepositoryUnsupported", args.join(" "));
        assert.match(error.message, /writing needs zones/);
      }
      await agentJson("list", ...at);
      await agentJson("show", point, ...at);
      await agentJson("verify", ...at, "--read-data=50");
      await restoreTo(repo, point, `v=${join(folder, `${kind}.out`)}`);
      await assertRestores(repo, point, image, join(folder, `${kind}.again`));
      await agentJson("copy", "--from", repo, "--to", other);
      assert.deepEqual(await contents(repo), before);
    },
  );
}

test(
  "a repository of an old version gets points of the old form, and keeps its version",
  fullDepthOnly,
  async () => {
    const { folder, image } = await folderWithImage();
    process.env.BLOCKFERRY_PASSPHRASE = FIXTURE_PASSPHRASE;
    for (const version of ["format-1", "format-2"]) {
      const repo = join(folder, version);
      await cp(join(FIXTURES, version, "repository"), repo, { recursive: true });
      const config = await readFile(join(repo, CONFIG_KEY));
      const { point } = await backUp(repo, image);
      const shown = await agentJson("show", point, "--repo", repo);
      assert.deepEqual([shown.version, "previous" in shown, "requires" in shown], [1, false, false]);
      assert.deepEqual(await readFile(join(repo, CONFIG_KEY)), config);
      const fromNew = join(folder, `${version}-from`);
      await initPlain(fromNew);
      const copied = (await backUp(fromNew, image)).point;
      await agentJson("copy", "--from", fromNew, "--to", repo);
      assert.equal((await agentJson("show", copied, "--repo", repo)).version, 1);
      await agentJson("forget", point, "--repo", repo);
      assert.ok(!(await readdir(repo)).includes("forgotten"));
    }
  },
);
