import assert from "node:assert/strict";
import { mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { canonicalPath } from "../../foundation/canonical-path.js";
import { tempFolder } from "../support/temp-folder.js";

test("a path is the same by whichever links it is named, before the file is there as after", async () => {
  const folder = await realpath(await tempFolder());
  const file = join(folder, "deep", "file");
  await mkdir(join(folder, "deep", "real"), { recursive: true });
  await symlink("deep/real", join(folder, "folder"));
  await symlink("../file", join(folder, "deep", "real", "up"));
  await symlink("folder/up", join(folder, "first"));
  await symlink(join(folder, "first"), join(folder, "second"));
  const paths = ["deep/file", "folder/up", "folder/../file", "first", "second"].map(
    (name) => `${folder}/${name}`,
  );
  const found = () => Promise.all(paths.map(canonicalPath));
  const expected = paths.map(() => file);
  assert.deepEqual(await found(), expected);
  await writeFile(file, "");
  assert.deepEqual(await found(), expected);
});

test("a path in a folder that is not there has no canonical one", async () => {
  await assert.rejects(canonicalPath(join(await tempFolder(), "none", "file")), { code: "ENOENT" });
});
