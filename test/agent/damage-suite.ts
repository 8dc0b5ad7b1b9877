import assert from "node:assert/strict";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { asBlockferryError, type ErrorRecord } from "../../foundation/errors.js";
import { CHUNK_BYTES, ENCODING, PACK_HEADER_BYTES } from "../../repository/format/chunk.js";
import { PACK_TRAILER_BYTES, packIdOf } from "../../repository/format/pack.js";
import { pointKey } from "../../repository/format/recovery-point.js";
import { readPackFooter, recordsOf } from "../../repository/packs/pack-reader.js";
import { findPoint } from "../../repository/points/find-point.js";
import type { Storage } from "../../repository/storage/storage.js";
import { agent, agentJson } from "../support/agent.js";
import { byDepth } from "../support/depth.js";
import { openWithPassphrase } from "../support/encryption.js";
import { writeMixedImage } from "../support/images.js";
import { restoreInProcess } from "../support/in-process.js";
import { SeededRandom } from "../support/random.js";
import { sha256File } from "../support/same-content.js";
import { tempFolder } from "../support/temp-folder.js";

/** A part of an object: bytes `[start, end)`. */
interface Area {
  name: "whole" | "header" | "raw payload" | "lz4 payload" | "footer" | "trailer";
  start: number;
  end: number;
}

interface ObjectUnderTest {
  key: string;
  kind: "config" | "key" | "point" | "index" | "pack";
  bytes: Buffer;
  /** The parts of the object, without a gap. */
  areas: Area[];
}

const DAMAGES = [
  "flip a bit",
  "overwrite a range",
  "cut the end",
  "delete a range",
  "delete the object",
] as const;
type Damage = (typeof DAMAGES)[number];

interface Case {
  object: ObjectUnderTest;
  damage: Damage;
  /** The damaged bytes: `[start, end)` of the intact object. */
  start: number;
  end: number;
}

interface VerifyOutput {
  ok?: boolean;
  problems?: ErrorRecord[];
  damaged?: { point: string }[];
  error?: ErrorRecord;
}

interface DamageSuite {
  name: string;
  /** Makes the repository. If it has a passphrase, that must be in the environment. */
  init(repo: string): Promise<void>;
  /**
   * Number of cases at random places, in addition to each kind of damage to each object and area. Each takes
   * half a second.
   */
  randomCases: number;
}

/** Cases in parallel, each on its own repository. */
const LANES = 2;

export function testDamage(suite: DamageSuite): void {
  describe(suite.name, async () => {
    const folder = await tempFolder();
    const random = SeededRandom.fresh();
    let objects: ObjectUnderTest[];
    /** SHA-256 of the volume in each point. */
    let points: Map<string, string>;
    /** Path of the copy of the repository that a lane damages. */
    const lane = (number: number) => join(folder, `lane-${number}`);

    before(async () => {
      const repo = join(folder, "intact");
      points = await makeRepository(folder, repo, suite.init);
      objects = await readObjects(repo);
      for (let number = 0; number <= LANES; number++) {
        for (const { key, bytes } of objects) await restoreObject(lane(number), key, bytes);
      }
    });

    test("is tested with every kind of object: several packs, raw and compressed chunks, block maps, two points", () => {
      const count = (kind: ObjectUnderTest["kind"]) =>
        objects.filter((object) => object.kind === kind).length;
      assert.equal(count("config"), 1);
      assert.equal(count("point"), 2);
      assert.ok(count("index") >= 2);
      assert.ok(count("pack") >= 4);
      const areas = new Set(objects.flatMap((object) => object.areas.map(({ name }) => name)));
      assert.deepEqual(
        [...areas].sort(),
        ["footer", "header", "lz4 payload", "raw payload", "trailer", "whole"].sort(),
      );
    });

    test("verify --read-data finds damage of any kind in any object and names it, and a restore never gives wrong bytes", async () => {
      const damaged = byDepth({ quick: oneOfEachKind(objects, random), full: objects });
      const randomly = byDepth({ quick: 0, full: suite.randomCases });
      const cases = [...everyCase(damaged, random), ...randomCases(damaged, randomly, random)];
      assert.ok(cases.length >= 4 * DAMAGES.length, `${cases.length} cases`);
      const work = cases.entries();
      const seen = { verified: 0, restored: 0, refused: 0 };
      const runLane = async (number: number) => {
        for (const [caseNumber, one] of work) {
          const { object, damage, start, end } = one;
          const repo = lane(number);
          const label = `seed ${random.seed}, case ${caseNumber}: ${damage} in ${object.key} [${start}, ${end})`;
          await applyDamage(repo, one, new SeededRandom(`${random.seed}, case ${caseNumber}`));
          const [verified, ...restores] = await Promise.all([
            agent("verify", "--repo", repo, "--read-data", "--json"),
            ...[...points].map(([point, sha256]) => tryRestore(repo, point, sha256, label)),
          ]);
          checkVerify(one, verified, label);
          seen.verified += 1;
          for (const restored of restores) seen[restored] += 1;
          await restoreObject(repo, object.key, object.bytes);
        }
      };
      await Promise.all(Array.from({ length: LANES }, (_, number) => runLane(number)));
      assert.equal(seen.verified, cases.length);
      assert.ok(seen.restored > 0 && seen.refused > 0, "some damage hinders a restore, some does not");
      for (let number = 0; number < LANES; number++) {
        const whole = await agentJson<VerifyOutput>("verify", "--repo", lane(number), "--read-data");
        assert.equal(whole.ok, true, "put right again, the repository is whole");
      }
    });

    test("names a recovery point that was deleted whole, because the next one names it; the other point stays whole", async () => {
      const repo = lane(LANES);
      // Not the first by name: both may be of one second.
      const [oldest = ""] = points.keys();
      await rm(join(repo, pointKey(oldest)));
      const { code, stdout } = await agent("verify", "--repo", repo, "--read-data", "--json");
      const report = JSON.parse(stdout) as { points: number; problems: { code: string }[] };
      assert.equal(code, 3, stdout);
      assert.deepEqual(
        report.problems.map((problem) => problem.code),
        ["PointRemoved"],
      );
      assert.equal(report.points, 1);
      const results = [];
      for (const [point, sha256] of points)
        results.push(await tryRestore(repo, point, sha256, "a deleted point"));
      assert.deepEqual(results.sort(), ["refused", "restored"]);
    });

    /** Restores to a new file: it has exactly the right bytes, or the restore fails and leaves no file. */
    async function tryRestore(
      repo: string,
      point: string,
      sha256: string,
      label: string,
    ): Promise<"restored" | "refused"> {
      const target = `${repo}-${point}.img`;
      try {
        const repository = await openWithPassphrase(repo);
        await restoreInProcess(repository, [
          { point: await findPoint(repository.storage, point), path: target },
        ]);
      } catch (error) {
        const { code, message } = asBlockferryError(error);
        const said = `${label}, restore of ${point}: ${code}, ${message}`;
        assert.ok(code !== "Unexpected" && code !== "Usage", said);
        const left = (await readdir(folder)).filter((name) => join(folder, name).startsWith(target));
        assert.deepEqual(left, [], `a failed restore leaves no file: ${said}`);
        return "refused";
      }
      assert.equal(await sha256File(target), sha256, `WRONG BYTES: ${label}, restore of ${point}`);
      await rm(target);
      return "restored";
    }
  });
}

/**
 * Makes two points of one volume. The second has changes and an odd length; packs have raw and compressed
 * chunks.
 */
async function makeRepository(
  folder: string,
  repo: string,
  init: DamageSuite["init"],
): Promise<Map<string, string>> {
  const content = new SeededRandom("damage");
  const image = join(folder, "volume.img");
  await writeMixedImage(image, 16 * CHUNK_BYTES, content);
  await init(repo);
  const points = new Map<string, string>();
  const backUp = async () => {
    const { point } = await agentJson<{ point: string }>("backup", "--repo", repo, "--device", image);
    points.set(point, await sha256File(image));
  };
  await backUp();
  const file = await open(image, "r+");
  try {
    await file.write(content.bytes(CHUNK_BYTES), 0, CHUNK_BYTES, 2 * CHUNK_BYTES);
    const text = Buffer.from("changed ".repeat(CHUNK_BYTES / 8));
    await file.write(text, 0, CHUNK_BYTES, 5 * CHUNK_BYTES);
    await file.write(content.bytes(1001), 0, 1001, 16 * CHUNK_BYTES);
  } finally {
    await file.close();
  }
  await backUp();
  await rm(image);
  return points;
}

async function readObjects(repo: string): Promise<ObjectUnderTest[]> {
  const { storage } = await openWithPassphrase(repo);
  const keys = ["config.json"];
  for (const prefix of ["keys/", "points/", "index/", "packs/"]) {
    for (const { key } of await storage.list(prefix)) keys.push(key);
  }
  const objects: ObjectUnderTest[] = [];
  for (const key of keys) {
    const bytes = await readFile(join(repo, key));
    const packId = packIdOf(key);
    if (packId !== undefined) {
      objects.push({ key, kind: "pack", bytes, areas: await packAreas(storage, packId, bytes.length) });
    } else {
      const kind = KINDS[key.split("/")[0] as keyof typeof KINDS];
      objects.push({ key, kind, bytes, areas: [{ name: "whole", start: 0, end: bytes.length }] });
    }
  }
  return objects;
}

const KINDS = { "config.json": "config", keys: "key", points: "point", index: "index" } as const;

async function packAreas(storage: Storage, id: string, sizeBytes: number): Promise<Area[]> {
  const { footer } = await readPackFooter(storage, id, sizeBytes);
  const trailerStart = sizeBytes - PACK_TRAILER_BYTES;
  return [
    { name: "header", start: 0, end: PACK_HEADER_BYTES },
    ...recordsOf(footer).map(({ offset, storedBytes, encoding }) => ({
      name: encoding === ENCODING.lz4 ? ("lz4 payload" as const) : ("raw payload" as const),
      start: offset,
      end: offset + storedBytes,
    })),
    {
      name: "footer",
      start: trailerStart - footer.length - storage.cipher.layout.tagBytes,
      end: trailerStart,
    },
    { name: "trailer", start: trailerStart, end: sizeBytes },
  ];
}

function oneOfEachKind(objects: ObjectUnderTest[], random: SeededRandom): ObjectUnderTest[] {
  const kinds = new Set(objects.map(({ kind }) => kind));
  return [...kinds].map((kind) => random.pick(objects.filter((object) => object.kind === kind)));
}

/** Returns each damage to each object, and to one area of each name in each pack. */
function everyCase(objects: ObjectUnderTest[], random: SeededRandom): Case[] {
  return objects.flatMap((object) => {
    const names = new Set(object.areas.map(({ name }) => name));
    const areas = [...names].map((name) => random.pick(object.areas.filter((area) => area.name === name)));
    return DAMAGES.flatMap((damage) => {
      if (damage === "delete the object")
        return canBeNoticed(object) ? [makeCase(object, damage, object.areas, random)] : [];
      if (damage === "cut the end" || damage === "delete a range")
        return [makeCase(object, damage, [random.pick(areas)], random)];
      return areas.map((area) => makeCase(object, damage, [area], random));
    });
  });
}

function randomCases(objects: ObjectUnderTest[], count: number, random: SeededRandom): Case[] {
  return Array.from({ length: count }, () => {
    const object = random.pick(objects);
    const damage = random.pick(DAMAGES.slice(0, 4));
    return makeCase(object, damage, object.areas, random);
  });
}

/** Only the user refers to recovery points, so that a deleted point is not noticed. */
function canBeNoticed({ kind }: ObjectUnderTest): boolean {
  return kind !== "point";
}

/** Returns damage at a random place in the areas, which are adjacent. */
function makeCase(object: ObjectUnderTest, damage: Damage, areas: Area[], random: SeededRandom): Case {
  const areaStart = (areas[0] as Area).start;
  const areaEnd = (areas.at(-1) as Area).end;
  const start = areaStart + random.below(areaEnd - areaStart);
  const length = 1 + random.below(Math.min(5000, areaEnd - start));
  switch (damage) {
    case "flip a bit":
      return { object, damage, start, end: start + 1 };
    case "overwrite a range":
    case "delete a range":
      return { object, damage, start, end: start + length };
    case "cut the end":
      return { object, damage, start, end: object.bytes.length };
    case "delete the object":
      return { object, damage, start: 0, end: object.bytes.length };
  }
}

async function applyDamage(
  repo: string,
  { object, damage, start, end }: Case,
  random: SeededRandom,
): Promise<void> {
  const path = join(repo, object.key);
  const before = object.bytes.subarray(0, start);
  const hit = object.bytes.subarray(start, end);
  const after = object.bytes.subarray(end);
  switch (damage) {
    case "flip a bit":
      return writeFile(
        path,
        Buffer.concat([before, Buffer.from([(hit[0] as number) ^ (1 << random.below(8))]), after]),
      );
    case "overwrite a range": {
      const other = random.bytes(hit.length);
      if (other[0] === hit[0]) other[0] = (other[0] as number) ^ 1;
      return writeFile(path, Buffer.concat([before, other, after]));
    }
    case "cut the end":
    case "delete a range":
      return writeFile(path, Buffer.concat([before, after]));
    case "delete the object":
      return rm(path);
  }
}

async function restoreObject(repo: string, key: string, bytes: Buffer): Promise<void> {
  await mkdir(join(repo, key, ".."), { recursive: true });
  await writeFile(join(repo, key), bytes);
}

function checkVerify(
  one: Case,
  { code, stdout, stderr }: { code: number | null; stdout: string; stderr: string },
  label: string,
) {
  const said = `${label}: verify exits ${code}\n${stdout}${stderr}`;
  const output = parseOutput(stdout, said);
  if (one.object.kind === "config") {
    assert.ok(code === 1 || code === 3, said);
    assert.equal(output.error?.object, "config.json", said);
    return;
  }
  if (one.object.kind === "key") {
    const isGone = one.damage === "delete the object";
    assert.equal(code, isGone ? 1 : 3, said);
    assert.equal(output.error?.object, isGone ? "keys/" : one.object.key, said);
    return;
  }
  assert.equal(code, 3, said);
  assert.equal(output.ok, false, said);
  const problems = output.problems ?? [];
  if (one.object.kind === "index" && one.damage === "delete the object") {
    assert.ok(problems.length > 0, said);
    for (const { code: problem, object } of problems) {
      assert.equal(problem, "IndexMissing", said);
      assert.ok(packIdOf(object ?? "") !== undefined, `a lost segment is named by its packs: ${said}`);
    }
    return;
  }
  const named = problems.filter(({ object }) => object === one.object.key);
  assert.ok(named.length > 0, `no problem names ${one.object.key}: ${said}`);
  if (one.object.kind !== "pack") return;
  const [from, to] = expectedOffsets(one);
  assert.ok(
    named.some(({ offset }) => offset !== undefined && offset >= from && offset < to),
    `no offset in [${from}, ${to}): ${said}`,
  );
}

/**
 * Returns the place in a pack that must be reported: from the start of the first damaged area to the end of
 * the last.
 */
function expectedOffsets({ object, damage, start, end }: Case): [number, number] {
  if (damage === "delete the object") return [0, 1];
  if (damage === "cut the end" || damage === "delete a range") return [start, object.bytes.length];
  const hit = object.areas.filter((area) => area.start < end && area.end > start);
  const first = hit[0] as Area;
  const last = hit.at(-1) as Area;
  if (first.name === "trailer") {
    const footer = object.areas.find(({ name }) => name === "footer") as Area;
    return [footer.start, last.end];
  }
  return [first.start, last.end];
}

function parseOutput(stdout: string, said: string): VerifyOutput {
  try {
    return JSON.parse(stdout) as VerifyOutput;
  } catch {
    return assert.fail(said);
  }
}
