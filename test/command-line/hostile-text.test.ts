import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { agent } from "../support/agent.js";
import { startController } from "../support/controller.js";
import { openWithPassphrase } from "../support/encryption.js";
import { instanceOf, writeAsOf } from "../support/machines.js";
import { startNbd } from "../support/nbd-server.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { backUp, newRepository } from "../support/repositories.js";
import type { ProgramResult } from "../support/start-program.js";
import { tempFolder } from "../support/temp-folder.js";

/** Ends the line, controls the terminal, reverses the direction of the text, and hides it. */
const HOSTILE =
  "x\nINJECTED\r\u001b[2K\u001b]0;t\u0007\u009b1m\t\u2028\u202egnp\u2066\u200f\u061c\u200b\u{e0041}\b\u007f";
const NAME = `name ${HOSTILE}`;
const HIDDEN = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

describe("names, tags, hosts and paths that others chose print as one line each, and do nothing to a terminal", async () => {
  const folder = await tempFolder();
  let repo = "";
  let hostile = "";
  let instance = "";
  before(async () => {
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 8192, SeededRandom.fresh());
    repo = await newRepository(folder);
    await backUp(repo, `${image}=disk`);
    const repository = await openWithPassphrase(repo);
    const tags = { [`tag ${HOSTILE}`]: HOSTILE };
    const { points } = JSON.parse((await agent("list", "--repo", repo, "--json")).stdout) as {
      points: { volumes: { root: string; sizeBytes: number }[] }[];
    };
    const { root = "", sizeBytes = 0 } = points[0]?.volumes[0] ?? {};
    const volumes = [{ name: NAME, source: `/dev/${HOSTILE}`, root, sizeBytes, badRanges: [] }];
    hostile = (await writeAsOf(repository, { hostname: `host ${HOSTILE}`, tags, volumes })).id;
    const shop = { ...instanceOf("i-0aaaaaaaaaaaaaaa1"), instanceType: HOSTILE, imageId: HOSTILE, tags };
    instance = (await writeAsOf(repository, { instance: shop, hostname: HOSTILE, tags, volumes })).id;
  });

  const target = (name: string) => join(folder, name);
  const runs: Record<string, () => string[]> = {
    list: () => ["list"],
    show: () => ["show", hostile],
    "show an instance": () => ["show", instance],
    "show the latest of several machines": () => ["show", "latest"],
    "show what is not there": () => ["show", "latest", "--host", HOSTILE, "--tag", `${HOSTILE}=1`],
    "restore to no volume": () => ["restore", "--point", hostile, "--target", "none=x"],
    restore: () => ["restore", "--point", hostile, "--target", target(`r ${HOSTILE}`)],
    "export no volume": () => [
      "export",
      target("e"),
      "--point",
      hostile,
      "--volume",
      HOSTILE,
      "--format",
      "raw",
    ],
    export: () => ["export", target("e"), "--point", hostile, "--format", "raw"],
    "nbd of no volume": () => [
      "nbd",
      "--point",
      hostile,
      "--volume",
      HOSTILE,
      "--listen",
      `unix:${target("s")}`,
    ],
    verify: () => ["verify", "--point", hostile, "--read-data"],
    stats: () => ["stats"],
    "repair points": () => ["repair", "points"],
    "forget by rules": () => ["forget", "--keep-last", "1", "--dry-run"],
    "an unknown command": () => [`frobnicate ${HOSTILE}`],
    "an unknown repository": () => ["list", "--repo", HOSTILE],
    "with a trace": () => ["show", HOSTILE, "--verbose"],
  };
  for (const [name, args] of Object.entries(runs)) {
    test(`by the agent: ${name}`, async () => {
      const json = name === "restore" || name === "export" ? [] : [["--json"]];
      const repository = name === "an unknown repository" ? [] : ["--repo", repo];
      for (const style of [[], ...json]) assertHarmless(await agent(...args(), ...repository, ...style));
    });
  }

  for (const args of [["points"], ["show", "latest", "--host", `host ${HOSTILE}`], ["status", HOSTILE]]) {
    test(`by the controller: ${args[0]}`, async () => {
      for (const style of [[], ["--json"]]) {
        assertHarmless(await startController([...args, "--repo", repo, ...style]).result);
      }
    });
  }

  test("by a server of a volume", async () => {
    const nbd = await startNbd("--repo", repo, "--point", hostile, "--listen", `unix:${target("nbd")}`);
    assert.equal(nbd.volume, NAME);
    await nbd.stop();
  });
});

function assertHarmless({ stdout, stderr }: ProgramResult): void {
  const printed = stdout + stderr;
  assert.ok(printed.length > 0);
  assert.doesNotMatch(printed, HIDDEN);
  assert.doesNotMatch(printed, /^INJECTED/m);
}
