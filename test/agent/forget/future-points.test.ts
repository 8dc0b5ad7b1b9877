import assert from "node:assert/strict";
import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorRecord } from "../../../foundation/errors.js";
import { newPointId, pointKey } from "../../../repository/format/recovery-point.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { initRepository, type Repository } from "../../../repository/open/repository.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";
import { daysFromNow, emptyPoint, plantPoints } from "../../support/planted-points.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, type BackupOutput } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const POLICY = ["--keep-last=3", "--keep-daily=14", "--keep-weekly=8", "--keep-monthly=12"];

interface Repo extends Repository {
  path: string;
  folder: string;
}

async function makeRepo(): Promise<Repo> {
  const folder = await tempFolder();
  const path = join(folder, "repo");
  return { ...(await initRepository(path)), path, folder };
}

const days = (count: number, first: number, step = 1) =>
  Array.from({ length: count }, (_, number) => daysFromNow(first + number * step));

async function idsIn(path: string): Promise<string[]> {
  return (await readdir(join(path, "points"))).map((name) => name.slice(0, -".json".length)).sort();
}

/** Runs the agent with a clock that is wrong by `days`, as `faketime` would do. */
async function withClock(days: number, folder: string, ...args: string[]) {
  const preload = join(folder, "clock.cjs");
  const script = `const D = Date, off = ${days * 864e5};
globalThis.Date = class extends D {
  constructor(...a) { if (a.length > 0) super(...a); else super(D.now() + off); }
  static now() { return D.now() + off; }
};`;
  await writeFile(preload, script);
  return startAgent(args, { NODE_OPTIONS: `--require ${preload}` }).result;
}

test("points dated in the years to come take no slot of a rule, are never latest, and are named everywhere", async () => {
  const { path, storage, config } = await makeRepo();
  const honest = await plantPoints(storage, config.id, days(10, -10), "in time");
  const planted = await plantPoints(storage, config.id, days(14, 60, 367), "now");
  const error = await agentFails(1, "forget", "--repo", path, ...POLICY);
  assert.equal(error.code, "PointInFuture");
  assert.match(error.message, /14 of 24 points are dated in the future/);
  assert.equal((await idsIn(path)).length, 24);

  assert.equal((await findPoint(storage, "latest")).id, honest.at(-1));
  const listed = await agentJson<{ future: ErrorRecord[] }>("list", "--repo", path);
  const objects = planted.map(pointKey);
  assert.deepEqual(
    listed.future.map(({ object }) => object),
    objects,
  );
  const verified = await agentJson<{ future: ErrorRecord[] }>("verify", "--repo", path);
  assert.deepEqual(
    verified.future.map(({ object }) => object),
    objects,
  );
  const shown = await agentJson<{ future: ErrorRecord }>("show", planted[3] ?? "", "--repo", path);
  assert.equal(shown.future.object, objects[3]);

  const ignoring = ["forget", "--repo", path, "--keep-last=5", "--keep-daily=6", "--ignore-future-points"];
  const { forgotten } = await agentJson<{ forgotten: string[] }>(...ignoring);
  assert.deepEqual(forgotten.sort(), honest.slice(0, 4));
  assert.deepEqual(await idsIn(path), [...honest.slice(4), ...planted]);
  await agentJson("forget", "--repo", path, ...planted);
  assert.deepEqual(await idsIn(path), honest.slice(4));
});

test("a point that a machine with a clock a year ahead made stays untrusted when its date has come", async () => {
  const { path, folder, storage, config } = await makeRepo();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const { code, stdout, stderr } = await withClock(
    370,
    folder,
    ...["backup", "--repo", path, "--device", image, "--json"],
  );
  assert.equal(code, 0, stderr);
  const { point } = JSON.parse(stdout) as BackupOutput;
  const honest = await plantPoints(storage, config.id, days(3, -3), "in time");
  assert.equal((await findPoint(storage, "latest")).id, honest.at(-1));
  // Two years later the date is in the past; the storage's date still counts.
  const later = await withClock(800, folder, "forget", "--repo", path, "--keep-last=2", "--json");
  assert.equal(later.code, 1);
  const { error } = JSON.parse(later.stdout) as { error: ErrorRecord };
  assert.deepEqual([error.code, error.details?.length], ["PointInFuture", 1]);
  assert.ok(error.details?.[0]?.includes(point));
  assert.match(error.details?.[0] ?? "", /when the storage received it/);
});

test("where the clock of this machine is behind, forget refuses and names the clock", async () => {
  const { path, folder, storage, config } = await makeRepo();
  const points = await plantPoints(storage, config.id, days(4, -4), "in time");
  const { code, stdout } = await withClock(-700, folder, "forget", "--repo", path, "--keep-last=1", "--json");
  const { error } = JSON.parse(stdout) as { error: ErrorRecord };
  assert.deepEqual([code, error.code], [1, "PointInFuture"]);
  assert.match(error.message, /clock of this machine may be behind/);
  assert.deepEqual(await idsIn(path), points);
});

test("a point whose id and time differ is damaged, and is not used", async () => {
  const { path, storage, config } = await makeRepo();
  const [good = ""] = await plantPoints(storage, config.id, [daysFromNow(-2)], "in time");
  const id = newPointId(daysFromNow(-1));
  const forged = { ...emptyPoint(config.id, daysFromNow(-400)), id };
  await storage.put(pointKey(id), sealJson(forged));
  const { code, stdout } = await agent("list", "--repo", path, "--json");
  assert.equal(code, 3);
  const { points, damaged } = JSON.parse(stdout) as { points: { id: string }[]; damaged: ErrorRecord[] };
  assert.deepEqual(
    [points.map((point) => point.id), damaged.map(({ object }) => object)],
    [[good], [pointKey(id)]],
  );
  assert.match(damaged[0]?.message ?? "", /but its id contains another time/);
});

test("a name with an impossible date is never latest", async () => {
  const { storage, config } = await makeRepo();
  const [good = "", other = ""] = await plantPoints(storage, config.id, days(2, -2), "in time");
  await rename(
    join(storage.name, pointKey(other)),
    join(storage.name, "points/20269999T999999Z-00000000.json"),
  );
  assert.equal((await findPoint(storage, "latest")).id, good);
});

test("rules that forget more than half of a group, or all of it, need --yes", async () => {
  const { path, storage, config } = await makeRepo();
  const points = await plantPoints(storage, config.id, days(9, -9), "in time");
  const args = ["forget", "--repo", path, "--keep-last=4"];
  const error = await agentFails(1, ...args);
  assert.equal(error.code, "ForgetBraked");
  assert.deepEqual(error.details, [
    "worker: : 5 of 9 points",
    ...points
      .slice(0, 5)
      .toReversed()
      .map((id) => `  ${id}`),
  ]);
  const planned = await agentJson<{ needsYes: string[] }>(...args, "--dry-run");
  assert.deepEqual(planned.needsYes, ["worker: "]);
  assert.deepEqual(await idsIn(path), points);
  await agentJson(...args, "--yes");
  assert.deepEqual(await idsIn(path), points.slice(5));
  await agentJson("forget", "--repo", path, "--keep-last=2");
  assert.deepEqual(await idsIn(path), points.slice(7));
});

test("points planted among the days of the past push out no true point", async () => {
  const { path, storage, config } = await makeRepo();
  const honest = await plantPoints(storage, config.id, days(10, -10), "in time");
  // One point, later, on each of these days, and many within the last hours.
  await plantPoints(storage, config.id, days(10, -9.9), "now");
  await plantPoints(storage, config.id, days(12, -0.9, 0.05), "now");
  await agentJson("forget", "--repo", path, "--keep-daily=14", "--yes");
  const left = await idsIn(path);
  for (const id of honest) assert.ok(left.includes(id), id);
});

test("a backup warns when its clock differs from the storage's, and when it can name no previous point", async () => {
  const { path, folder } = await makeRepo();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  const backup = ["backup", "--repo", path, "--device", image];
  const right = await agent(...backup);
  assert.ok(!/clock|names no previous one/.test(right.stderr), right.stderr);
  for (const [days, expected] of [
    [-2, "48.0 hours behind the storage's"],
    [0.5, "12.0 hours ahead of the storage's"],
  ] as const) {
    const { code, stderr } = await withClock(days, folder, ...backup);
    assert.equal(code, 0, stderr);
    assert.ok(stderr.includes(expected), stderr);
  }
  const others = await makeRepo();
  await plantPoints(others.storage, others.config.id, days(2, 60), "now");
  const { stderr } = await agent("backup", "--repo", others.path, "--device", image);
  assert.match(stderr, /names no previous one: the newest of the 2 points in the repository/);
});

test(
  "restore, export and show name the problem with the date of a point that is named by its id",
  needing("qemu-img"),
  async () => {
    const { path, folder } = await makeRepo();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 4096, SeededRandom.fresh());
    await withClock(30, folder, "backup", "--repo", path, "--device", image);
    const [id = ""] = await idsIn(path);
    const note = `Recovery point ${id} has a date that is later than`;
    const target = join(folder, "restored.img");
    const restored = await agent("restore", "--repo", path, "--point", id, "--target", target);
    assert.deepEqual([restored.code, restored.stderr.includes(note)], [0, true], restored.stderr);
    const exporting = [
      "export",
      "--repo",
      path,
      "--point",
      id,
      "--format",
      "vmdk",
      join(folder, "disk.vmdk"),
    ];
    const exported = await agent(...exporting);
    assert.deepEqual([exported.code, exported.stderr.includes(note)], [0, true], exported.stderr);
    const shown = await agent("show", id, "--repo", path);
    assert.ok(shown.stderr.includes(note), shown.stderr);
  },
);
