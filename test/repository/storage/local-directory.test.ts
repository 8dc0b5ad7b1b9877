import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { tempFileName } from "../../../repository/storage/local-temp-files.js";
import { tempFolder } from "../../support/temp-folder.js";
import { testStorage } from "./storage-suite.js";

testStorage({
  name: "a local directory",
  make: async () => {
    const folder = join(await tempFolder(), "repo");
    return { storage: new LocalDirectory(folder), reopen: async () => new LocalDirectory(folder) };
  },
  leftovers: (storage) => readdir(join(storage.name, "tmp")).catch(() => []),
  partBytes: 8192,
  streamRuns: 40,
  datesUploads: true,
});

test("a stream whose folder cannot be made fails with the storage's error and can be aborted", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "tmp"), "a file where a folder belongs");
  const upload = new LocalDirectory(folder).putStream("packs/x");
  await assert.rejects(upload.write(Buffer.alloc(4096)), { code: "StorageFailed", object: "packs/x" });
  await assert.rejects(upload.finish(Buffer.alloc(1)), { code: "StorageFailed", object: "packs/x" });
  await upload.abort();
  assert.deepEqual(await readdir(folder), ["tmp"]);
});

test("a put whose temporary folder cannot be made fails with the storage's error too", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "tmp"), "a file where a folder belongs");
  const put = new LocalDirectory(folder).put("config.json", Buffer.from("{}"), { ifNoneMatch: "*" });
  await assert.rejects(put, { code: "StorageFailed", object: "config.json" });
});

test("temporary files of dead processes are removed, those of living ones and of other hosts are kept", async () => {
  const folder = await tempFolder();
  const tmp = join(folder, "tmp");
  await mkdir(tmp);
  const dead = spawnSync(process.execPath, ["--version"]).pid;
  const [place] = OWNER_TOKEN.split("-");
  const names = {
    deadHere: `${place}-${dead}@0011`,
    mine: tempFileName("2233"),
    livingHere: `${place}-1@4455`,
    youngElsewhere: "01234567-77@6677",
    oldElsewhere: "01234567-78@8899",
  };
  for (const name of Object.values(names)) await writeFile(join(tmp, name), "half a pack");
  const eightDaysAgo = Date.now() / 1000 - 8 * 24 * 60 * 60;
  await utimes(join(tmp, names.oldElsewhere), eightDaysAgo, eightDaysAgo);
  await utimes(join(tmp, names.mine), eightDaysAgo, eightDaysAgo);
  const { removed } = await new LocalDirectory(folder).beginUploads();
  assert.equal(removed, 2);
  const kept = [names.mine, names.livingHere, names.youngElsewhere];
  assert.deepEqual((await readdir(tmp)).sort(), kept.sort());
});

test("folders and links are no objects", async () => {
  const storage = new LocalDirectory(await tempFolder());
  await storage.put("packs/z", Buffer.alloc(1));
  await mkdir(join(storage.name, "packs", "empty"));
  await symlink("z", join(storage.name, "packs", "link"));
  assert.deepEqual(await storage.list("packs/"), [{ key: "packs/z", sizeBytes: 1 }]);
});

test("objects removed while they are listed do not hide the others", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const folder = join(storage.name, "packs");
  await mkdir(folder);
  const names = Array.from({ length: 400 }, (_, number) => `${number % 2 === 0 ? "keep" : "gone"}-${number}`);
  for (const name of names) await writeFile(join(folder, name), name);
  const listing = storage.list("packs/");
  await Promise.all(names.filter((name) => name.startsWith("gone")).map((name) => rm(join(folder, name))));
  const listed = new Set((await listing).map(({ key }) => key));
  const hidden = names.filter((name) => name.startsWith("keep") && !listed.has(`packs/${name}`));
  assert.deepEqual(hidden, []);
});

test("a put that cannot be written says why, and leaves nothing", async () => {
  const folder = await tempFolder();
  const storage = new LocalDirectory(folder);
  await storage.put("packs", Buffer.from("a file where a folder belongs"));
  await assert.rejects(storage.put("packs/3f/x", Buffer.from("x")), { code: "StorageFailed" });
  await assert.rejects(storage.get("packs/3f/x"), { code: "StorageFailed" });
  assert.deepEqual(await readdir(join(folder, "tmp")), []);
  assert.equal(await readFile(join(folder, "packs"), "utf8"), "a file where a folder belongs");
});

test("what is stored is for its owner alone, whatever the umask", async () => {
  const umask = process.umask(0);
  try {
    const storage = new LocalDirectory(join(await tempFolder(), "new", "repo"));
    await storage.put("index/object", Buffer.from("put"));
    const upload = storage.putStream("packs/00/pack");
    await upload.finish(Buffer.from("streamed"));
    const modeOf = async (path: string) => (await stat(join(storage.name, path))).mode & 0o777;
    for (const file of ["index/object", "packs/00/pack"]) assert.equal(await modeOf(file), 0o600, file);
    for (const folder of ["", "index", "packs", "packs/00"])
      assert.equal(await modeOf(folder), 0o700, folder);
  } finally {
    process.umask(umask);
  }
});
