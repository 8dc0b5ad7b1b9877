import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { initRepository } from "../../repository/open/repository.js";
import { directoryPlace, s3Place } from "../support/repository-places.js";
import { startS3Server } from "../support/s3-server.js";
import { tempFolder } from "../support/temp-folder.js";
import { testInit } from "./init-suite.js";

// Started before the first test is declared: the file's hooks run when all declared tests are done, and stop
// the server.
const server = await startS3Server("moto");
testInit(directoryPlace(await tempFolder()));
testInit(s3Place(server));

test("init takes the empty folders of an interrupted one, and refuses other folders, links and FIFOs", async () => {
  const folder = await tempFolder();
  const place = (name: string) => join(folder, name);
  for (const name of ["rest/tmp", "rest/keys", "empty/photos", "link", "fifo/tmp"])
    await mkdir(place(name), { recursive: true });
  await initRepository(place("rest"));
  await symlink("/etc", place("link/tmp"));
  assert.equal(spawnSync("mkfifo", [place("fifo/pipe")]).status, 0);
  for (const name of ["empty", "link", "fifo"])
    await assert.rejects(initRepository(place(name)), { code: "PlaceNotEmpty" }, name);
  assert.deepEqual(await readdir(place("empty")), ["photos"]);
});

test("init reaches a folder by a symbolic link, and refuses a file in its place", async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, "real"));
  await symlink("real", join(folder, "link"));
  await initRepository(join(folder, "link"));
  assert.ok((await readdir(join(folder, "real"))).includes("config.json"));
  await writeFile(join(folder, "file"), "x");
  await assert.rejects(initRepository(join(folder, "file")), { code: "StorageFailed" });
});
