import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { atPlace } from "../../foundation/held-place.js";
import { OWNER_TOKEN } from "../../foundation/owner-token.js";
import { newPartialName } from "../../native-free-io/block-target.js";
import { tempFolder } from "../support/temp-folder.js";

test("no two partial files of one target share a name", async () => {
  const target = join(await tempFolder(), "disk.img");
  const names = await Promise.all(Array.from({ length: 20 }, () => atPlace(target, newPartialName)));
  assert.equal(new Set(names).size, names.length);
});

test("partial files of dead processes are removed; those of living ones, other places and other targets are kept", async () => {
  const folder = await tempFolder();
  const child = spawn("true");
  await once(child, "close");
  const [place] = OWNER_TOKEN.split("-");
  const dead = `disk.img.${place}-${child.pid}-00000000.blockferry-partial`;
  const oldElsewhere = `disk.img.01234567-${process.pid}-00000000.blockferry-partial`;
  const kept = [
    `disk.img.${OWNER_TOKEN}-00000000.blockferry-partial`,
    `disk.img.01234567-${child.pid}-00000000.blockferry-partial`,
    `other.img.${place}-${child.pid}-00000000.blockferry-partial`,
    "disk.img.notes",
  ];
  for (const name of [dead, oldElsewhere, ...kept]) await writeFile(join(folder, name), "");
  await utimes(join(folder, oldElsewhere), new Date(0), new Date(0));
  await atPlace(join(folder, "disk.img"), newPartialName);
  assert.deepEqual((await readdir(folder)).sort(), kept.sort());
});
