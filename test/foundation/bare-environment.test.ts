import assert from "node:assert/strict";
import { mkdir, open, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { requireQemuImg } from "../../agent/export/qemu-img.js";
import { BlockSource } from "../../native-free-io/block-source.js";
import { dataRanges } from "../../native-free-io/data-ranges.js";
import { runWipefs } from "../../native-free-io/signatures/find-signatures.js";
import { memoryFolder } from "../support/temp-folder.js";

const SECRET = "a secret of this process";
/** Variables set by the shell that runs the fake tools. */
const ALLOWED = /^(PATH|HOME|TMPDIR|LC_ALL|PWD|OLDPWD|SHLVL|_)=/;

// On tmpfs, because `tar` is used for sparse files only on known file systems.
const folder = await memoryFolder();
const bin = join(folder, "bin");
await mkdir(bin);
for (const tool of ["qemu-img", "tar", "wipefs"]) {
  await writeFile(join(bin, tool), `#!/bin/sh\nenv >"${folder}/${tool}.env"\n`, { mode: 0o755 });
}
const before = { ...process.env };
after(() => {
  process.env = before;
});
Object.assign(process.env, {
  PATH: `${bin}:${process.env.PATH}`,
  BLOCKFERRY_PASSPHRASE: SECRET,
  BLOCKFERRY_JOB_KEY: SECRET,
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_SESSION_TOKEN: SECRET,
  ANYTHING_ELSE: SECRET,
});

const calls: Record<string, () => Promise<unknown>> = {
  "qemu-img": requireQemuImg,
  tar: async () => {
    const path = join(folder, "sparse.img");
    await writeFile(path, "data");
    await truncate(path, 2 ** 20);
    const source = await BlockSource.open(path);
    await dataRanges(source).finally(() => source.close());
  },
  wipefs: async () => {
    const file = await open(join(bin, "tar"));
    await runWipefs(file.fd).finally(() => file.close());
  },
};
for (const [tool, call] of Object.entries(calls)) {
  test(`${tool} inherits no passphrase, key or credential`, async () => {
    await call();
    const lines = (await readFile(join(folder, `${tool}.env`), "utf8")).trim().split("\n");
    assert.deepEqual(
      lines.filter((line) => !ALLOWED.test(line)),
      [],
    );
  });
}
