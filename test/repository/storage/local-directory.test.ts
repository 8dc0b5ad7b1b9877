import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { LocalPlace } from "../../../repository/storage/local/local-place.js";
import { LocalTempFile } from "../../../repository/storage/local/local-upload.js";
import { newTempName } from "../../../repository/storage/storage.js";
import { fullDepthOnly } from "../../support/depth.js";
import { tempFolder } from "../../support/temp-folder.js";
import { testStorage, withoutDates } from "./storage-suite.js";

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
  await writeFile(join(folder, "config.json"), "this makes it a repository");
  const names = {
    deadHere: `${place}-${dead}@0123456789abcdef`,
    mine: newTempName(),
    livingHere: `${place}-1@0123456789abcdef`,
    youngElsewhere: "01234567-77@0123456789abcdef",
    oldElsewhere: "01234567-78@0123456789abcdef",
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

test("folders and links are not objects", async () => {
  const storage = new LocalDirectory(await tempFolder());
  await storage.put("packs/z", Buffer.alloc(1));
  await mkdir(join(storage.name, "packs", "empty"));
  await symlink("z", join(storage.name, "packs", "link"));
  assert.deepEqual(withoutDates(await storage.list("packs/")), [{ key: "packs/z", sizeBytes: 1 }]);
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

test("folders removed while they are listed do not hide the objects of others", fullDepthOnly, async () => {
  for (let round = 0; round < 20; round++) {
    const storage = new LocalDirectory(await tempFolder());
    const folders = Array.from({ length: 64 }, (_, number) => join(storage.name, "jobs", `job-${number}`));
    for (const folder of folders) {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "job.json"), "{}");
    }
    const listing = storage.list("jobs/");
    const contents = Array.fromAsync(storage.contents());
    const gone = folders.filter((_, number) => number % 2 === round % 2);
    await Promise.all(gone.map((folder) => rm(folder, { recursive: true })));
    const kept = folders
      .filter((folder) => !gone.includes(folder))
      .map((folder) => `jobs/${basename(folder)}/job.json`);
    const listed = new Set((await listing).map(({ key }) => key));
    assert.deepEqual(
      kept.filter((key) => !listed.has(key)),
      [],
    );
    const named = new Set(await contents);
    assert.deepEqual(
      kept.filter((key) => !named.has(key)),
      [],
    );
  }
});

test("a put that cannot be written gives the reason, and leaves nothing", async () => {
  const folder = await tempFolder();
  const storage = new LocalDirectory(folder);
  await storage.put("packs", Buffer.from("a file where a folder belongs"));
  await assert.rejects(storage.put("packs/3f/x", Buffer.from("x")), { code: "StorageFailed" });
  await assert.rejects(storage.get("packs/3f/x"), { code: "StorageFailed" });
  assert.deepEqual(await readdir(join(folder, "tmp")), []);
  assert.equal(await readFile(join(folder, "packs"), "utf8"), "a file where a folder belongs");
});

test("stored objects are readable only by their owner, whatever the umask", async () => {
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

test("old files in tmp/ with names of any other form stay, and so do all in a folder that is not a repository", async () => {
  const folder = await tempFolder();
  const names = [
    "thesis.odt",
    "x@y",
    "01234567-78@8899",
    "01234567-78@0123456789abcdef~",
    "@0123456789abcdef",
  ];
  const ours = "01234567-78@0123456789abcdef";
  const long = new Date("2020-01-01");
  await mkdir(join(folder, "tmp"));
  for (const name of [...names, ours]) {
    await writeFile(join(folder, "tmp", name), "somebody's");
    await utimes(join(folder, "tmp", name), long, long);
  }
  const storage = new LocalDirectory(folder);
  assert.equal((await storage.beginUploads()).removed, 0);
  await writeFile(join(folder, "config.json"), "{}");
  assert.equal((await storage.beginUploads()).removed, 1);
  assert.deepEqual((await readdir(join(folder, "tmp"))).sort(), names.sort());
});

test("a folder that is a symbolic link is refused: nothing is read, listed, written or removed through it", async () => {
  for (const linked of ["tmp", "packs", "packs/3f", "points", "index", "locks"]) {
    const root = await tempFolder();
    const victim = await tempFolder();
    const storage = new LocalDirectory(root);
    await storage.put("config.json", Buffer.from("{}"));
    await rm(join(root, linked), { recursive: true, force: true });
    await mkdir(dirname(join(root, linked)), { recursive: true });
    await symlink(victim, join(root, linked));
    const old = join(victim, "01234567-78@0123456789abcdef");
    await writeFile(old, "not the repository's");
    await utimes(old, 0, 0);
    const key = `${linked}/${basename(old)}`;
    const refused = { code: "StorageFailed", message: new RegExp(`${linked} in .* is a symbolic link`) };
    await assert.rejects(storage.put(key, Buffer.from("x")), refused);
    await assert.rejects(storage.delete([key]), refused);
    await assert.rejects(new LocalDirectory(root).list(`${linked.split("/")[0]}/`), refused);
    await assert.rejects(new LocalDirectory(root).get(key), refused);
    if (linked === "tmp") await assert.rejects(storage.beginUploads(), refused);
    assert.deepEqual(await readdir(victim), [basename(old)]);
    assert.equal(await readFile(old, "utf8"), "not the repository's");
  }
});

test("the proof refuses storage that replaces an object, changes its bytes, or still lists it when it is removed", async () => {
  class Replacing extends LocalDirectory {
    override put(key: string, body: Uint8Array) {
      return super.put(key, body);
    }
  }
  class Changing extends LocalDirectory {
    override async get(key: string) {
      const body = await super.get(key);
      body[body.length - 1] = ~(body.at(-1) as number);
      return body;
    }
  }
  class Keeping extends LocalDirectory {
    override async delete() {}
  }
  const cases = [
    [Replacing, /a hard link replaces an existing file/],
    [Changing, /read with other bytes/],
    [Keeping, /still listed/],
  ] as const;
  for (const [Odd, message] of cases) {
    const storage = new Odd(join(await tempFolder(), "repo"));
    await assert.rejects(storage.prove(), { code: "StorageUnsuitable", message });
  }
});

test("a put that finds another file in place of its temporary one gives that no name", async () => {
  const root = await tempFolder();
  const temp = await LocalTempFile.create(new LocalPlace(root));
  await temp.file.writeFile("an object");
  const [name = ""] = await readdir(join(root, "tmp"));
  await rm(join(root, "tmp", name));
  await symlink("/etc/passwd", join(root, "tmp", name));
  await assert.rejects(temp.publish("points/x", rename), /another file was put in place/);
  await temp.close();
  assert.deepEqual(await readdir(join(root, "tmp")), []);
  assert.deepEqual(await readdir(join(root, "points")), []);
});

test("a FIFO, socket, folder or link in place of an object is damage, is reported at once, and is not listed", async () => {
  const root = await tempFolder();
  const storage = new LocalDirectory(root);
  await storage.put("config.json", Buffer.from("{}"));
  await mkdir(join(root, "points", "folder"), { recursive: true });
  assert.equal(spawnSync("mkfifo", [join(root, "points", "fifo")]).status, 0);
  await symlink("/etc/passwd", join(root, "points", "link"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, "points", "socket"), resolve));
  for (const name of ["folder", "fifo", "link", "socket"]) {
    for (const options of [{}, { range: { offset: 0, length: 10 } }])
      await assert.rejects(storage.get(`points/${name}`, options), { code: "ObjectCorrupt" }, name);
  }
  assert.deepEqual(await storage.list("points/"), []);
  await new Promise((resolve) => server.close(resolve));
});

test("a key that leads out of the folder is refused", async () => {
  const root = join(await tempFolder(), "repo");
  const storage = new LocalDirectory(root);
  await storage.put("config.json", Buffer.from("{}"));
  const outside = join(dirname(root), "outside");
  await writeFile(outside, "not the repository's");
  for (const key of ["../outside", "locks/../../outside", "tmp/../../outside"]) {
    await assert.rejects(storage.delete([key]), { code: "StorageFailed" });
    await assert.rejects(storage.put(key, Buffer.from("x")), { code: "StorageFailed" });
    await assert.rejects(storage.get(key), { code: "StorageFailed" });
  }
  assert.equal(await readFile(outside, "utf8"), "not the repository's");
});
