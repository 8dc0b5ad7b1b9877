import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OWNER_TOKEN, ownerState } from "../../foundation/owner-token.js";
import { tempFolder } from "../support/temp-folder.js";

const [PLACE = "", PID = "", START = ""] = OWNER_TOKEN.split("-");

test("a process is identified by its place, its number and its start time", () => {
  assert.match(OWNER_TOKEN, new RegExp(`^[0-9a-f]{8}-${process.pid}-\\d+$`));
  assert.equal(ownerState(OWNER_TOKEN), "running");
  assert.equal(ownerState(`${PLACE}-${spawnSync("true").pid}-1`), "gone");
  assert.equal(ownerState(`00000000-${PID}-${START}`), "elsewhere");
});

test("another process with the same number is not taken for the one that is gone", () => {
  assert.equal(ownerState(`${PLACE}-${PID}-${Number(START) - 1}`), "gone");
});

test("a token of an earlier version, without the moment, is held to the number alone", () => {
  assert.equal(ownerState(`${PLACE}-${PID}`), "running");
});

test("a process whose name looks like the following fields is identified correctly", async () => {
  const program = join(await tempFolder(), "x) S 1 (y");
  await copyFile("/bin/sleep", program);
  const child = spawn(program, ["60"], { stdio: "ignore" });
  try {
    const stat = await readFile(`/proc/${child.pid}/stat`, "utf8");
    const start = /^.*\) (?:\S+ ){19}(\d+)/.exec(stat)?.[1];
    assert.ok(stat.includes("(x) S 1 (y)"), stat);
    assert.equal(ownerState(`${PLACE}-${child.pid}-${start}`), "running");
  } finally {
    child.kill("SIGKILL");
  }
});

for (const nonsense of ["", "web-1", `${PLACE}-x`, `${PLACE}-1-2-3`, `${PLACE}-`]) {
  test(`"${nonsense}" names no process of this place`, () => {
    assert.equal(ownerState(nonsense), "elsewhere");
  });
}
