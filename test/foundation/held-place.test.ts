import assert from "node:assert/strict";
import {
  chmod,
  chown,
  lchown,
  mkdir,
  readFile,
  realpath,
  rename,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { atPlace, HeldPlace, RefusedPath } from "../../foundation/held-place.js";
import { rootTest } from "../support/root-test.js";
import { tempFolder } from "../support/temp-folder.js";

const NOBODY = 65_534;
const pathOf = (path: string) => atPlace(path, async (place) => place.path);

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
  const found = () => Promise.all(paths.map(pathOf));
  const expected = paths.map(() => file);
  assert.deepEqual(await found(), expected);
  await writeFile(file, "");
  assert.deepEqual(await found(), expected);
});

test("a path in a folder that is not there, or of a folder, has no place, and the error names it", async () => {
  const folder = await tempFolder();
  await assert.rejects(pathOf(join(folder, "none", "file")), { code: "ENOENT", message: /none/ });
  await assert.rejects(pathOf(`${folder}/..`), RefusedPath);
  await symlink("round", join(folder, "round"));
  await assert.rejects(pathOf(join(folder, "round")), /too many symbolic links/);
});

rootTest(
  "a link that another user can have put there is not followed, wherever it is on the way",
  async () => {
    const folder = await tempFolder();
    await chmod(folder, 0o711);
    const [theirs, ours] = [join(folder, "theirs"), join(folder, "ours")];
    for (const path of [theirs, ours, join(ours, "real")]) await mkdir(path);
    await chown(theirs, NOBODY, NOBODY);
    await symlink("../ours/file", join(theirs, "link"));
    await symlink("../ours", join(theirs, "folder"));
    await symlink("../theirs/link", join(ours, "through"));
    for (const path of ["theirs/link", "theirs/folder/file", "theirs/folder/real/file", "ours/through"]) {
      await assert.rejects(pathOf(join(folder, path)), RefusedPath, path);
    }
    await mkdir(join(theirs, "inner"));
    await symlink("../../ours/file", join(theirs, "inner", "link"));
    await assert.rejects(pathOf(join(theirs, "inner", "link")), RefusedPath, "they can replace the folder");
    assert.equal(await pathOf(join(theirs, "file")), join(theirs, "file"), "no link, no danger");
  },
);

rootTest(
  "a link in a folder of all users is followed if it is root's, and the folder is a sticky one",
  async () => {
    const folder = await tempFolder();
    await writeFile(join(folder, "file"), "");
    await symlink("file", join(folder, "link"));
    const link = join(folder, "link");
    for (const [mode, owner, isFollowed] of [
      [0o1777, 0, true],
      [0o1777, NOBODY, false],
      [0o777, 0, false],
      [0o775, 0, false],
      [0o755, NOBODY, true],
    ] as const) {
      await chmod(folder, mode);
      await lchown(link, owner, owner);
      const found = pathOf(link);
      if (isFollowed) assert.equal(await found, join(folder, "file"));
      else await assert.rejects(found, RefusedPath, `${mode.toString(8)} ${owner}`);
    }
  },
);

test("operations at a place happen in the held folder, whatever has its path by then", async () => {
  const folder = await tempFolder();
  const [path, moved, other] = [join(folder, "way"), join(folder, "moved"), join(folder, "other")];
  await mkdir(path);
  await mkdir(other);
  const place = await HeldPlace.hold(join(path, "file"));
  await rename(path, moved);
  await symlink("other", path);
  const file = await place.create(place.name, 0o640);
  await file.writeFile("here");
  assert.ok(await place.isNameOf("file", file));
  await file.close();
  await place.close();
  assert.equal(await readFile(join(moved, "file"), "utf8"), "here");
  await assert.rejects(readFile(join(other, "file")), { code: "ENOENT" });
});

test("a link that is put in the place of a file afterwards is neither opened nor made a file through", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "victim"), "precious");
  await atPlace(join(folder, "file"), async (place) => {
    await symlink("victim", join(folder, "file"));
    await assert.rejects(place.open(2), { code: "ELOOP", message: new RegExp(join(folder, "file")) });
    await assert.rejects(place.create("file", 0o600), { code: "EEXIST" });
  });
});
