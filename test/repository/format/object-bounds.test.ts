import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { SegmentBatch } from "../../../agent/backup/index-checkpoints.js";
import { encodeIndexSegment } from "../../../repository/format/index-segment.js";
import { MAX_BAD_RANGES, maxJsonValues, maxObjectBytes } from "../../../repository/format/object-bounds.js";
import { newPointId, pointKey, type RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { newJobId, parseJob, readJobText, writeJob } from "../../../repository/jobs/job.js";
import { jobKey } from "../../../repository/jobs/job-key.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { writePoint } from "../../../repository/points/points.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { INSTANCE, jobVolume, makeJob } from "../../support/jobs.js";
import { SeededRandom } from "../../support/random.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 2 ** 20;
const TIB = 2 ** 40;
/**
 * The limit of EC2 volumes for an instance:
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volumes.html, "volume limits".
 */
const EC2_VOLUMES = 128;
/**
 * 50 tags of 128 and 256 characters (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html), of
 * four bytes each.
 */
const TAGS = Object.fromEntries(
  Array.from({ length: 50 }, (_, tag) => [`${tag}`.padStart(128, "0").replaceAll("0", "𐍈"), "𐍈".repeat(256)]),
);
const NOW = "2026-11-23T11:21:50.000Z";
const STATS = { sourceBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 };

/** Packs of a volume of 256 TiB: a pack of 64 MiB holds 127 encrypted chunks. */
const PACKS = Math.ceil((256 * TIB) / (127 * 512 * 1024));

function largestOrigin() {
  return { ...jobVolume(0, 64 * TIB).origin, tags: TAGS };
}

function pointOf(volumes: RecoveryPoint["volumes"]): RecoveryPoint {
  return {
    ...{ version: 1, id: newPointId(new Date(NOW)), repository: randomUUID() },
    ...{ startedAt: NOW, createdAt: NOW, hostname: "worker", tags: TAGS, volumes, stats: STATS },
  };
}

test("the recovery point and the job of an instance with all that EC2 allows can be read", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const volumes = Array.from({ length: EC2_VOLUMES }, (_, number) => ({
    ...{ name: `vol-${number}`, source: "/dev/nvme100n1", sizeBytes: 32 * TIB, root: "ab".repeat(32) },
    badRanges: [{ offset: 0, length: 4096 }],
    ebs: largestOrigin(),
  }));
  const point: RecoveryPoint = { ...pointOf(volumes), instance: { ...INSTANCE, tags: TAGS } };
  await writePoint(storage, point);
  assert.deepEqual(await findPoint(storage, point.id), point);
  const attached = volumes.map(({ name, ebs: origin }, number) => {
    const letters = String.fromCharCode(98 + Math.floor(number / 26), 97 + (number % 26));
    return { name, volumeId: `vol-${number + 16}`, sizeBytes: TIB, attachName: `/dev/sd${letters}`, origin };
  });
  const job = makeJob(randomUUID(), attached, { id: newJobId(new Date()), tags: TAGS });
  await writeJob(storage, job);
  assert.deepEqual(parseJob(job.id, await readJobText(storage, job.id)), job);
});

test("the recovery point of a volume with as many bad ranges as one may have can be read", async () => {
  const storage = new LocalDirectory(await tempFolder());
  const badRanges = Array.from({ length: MAX_BAD_RANGES }, (_, number) => ({
    offset: 2 ** 47 + number * 2 ** 29,
    length: 2 ** 28,
  }));
  const volume = { name: "disk", source: "/dev/sdb", sizeBytes: 2 ** 48, root: "ab".repeat(32), badRanges };
  const point = pointOf([volume]);
  await writePoint(storage, point);
  assert.equal((await findPoint(storage, point.id)).volumes[0]?.badRanges.length, MAX_BAD_RANGES);
});

test("all packs of a volume of 256 TiB can be condemned, or noticed, at once", () => {
  const id = "0123456789abcdef".repeat(2);
  const bytesEach = (one: object, two: object) => sealJson(two).length - sealJson(one).length;
  const condemned = bytesEach([id], [id, id]);
  const noticed = bytesEach({ [id]: NOW }, { [id]: NOW, [`f${id.slice(1)}`]: NOW });
  assert.ok(PACKS * condemned + MIB < maxObjectBytes("prune/0123456789abcdef.json"));
  assert.ok(PACKS * noticed + MIB < maxObjectBytes("prune/noticed.json"));
  for (const key of ["prune/0123456789abcdef.json", "prune/noticed.json"])
    assert.ok(PACKS + 100 < maxJsonValues(key));
});

test("the largest index segment that is written is far smaller than the largest that is read", () => {
  const random = new SeededRandom("segment");
  const batch = new SegmentBatch();
  for (let number = 0; !batch.isFull; number++) {
    const id = number.toString(16).padStart(32, "0");
    batch.add({ id, sizeBytes: 64 * MIB, footer: random.bytes(8192 * 52) });
  }
  assert.ok(encodeIndexSegment(batch.take()).length * 4 < maxObjectBytes("index/"));
});

test("docs/format.md gives the maximum size of each object", async () => {
  const page = await readFile(new URL("../../../../docs/format.md", import.meta.url), "utf8");
  const section = page.slice(page.indexOf("## Sizes"), page.indexOf("## Chunks"));
  const rows = [...section.matchAll(/^\| (.+?) \| ([\d,]+) MiB \| ([\d,]+|–) \|/gm)];
  const documented = rows.flatMap(([, keys = "", mebibytes, values]) =>
    [...keys.matchAll(/`(.+?)`/g)].map(([, key = ""]) => ({ key, mebibytes, values })),
  );
  assert.ok(documented.length > 10, `${documented.length} keys`);
  const id = newJobId(new Date());
  for (const { key, mebibytes, values } of documented) {
    const real = key.replace("<job id>", id).replace("<point id>", "20261123T112150Z-3f9a1c2b");
    const named = real.replace("<16 hex>", "0123456789abcdef").replace("<64 hex>", "0".repeat(64));
    assert.equal(maxObjectBytes(named), Number(mebibytes) * MIB, key);
    if (values !== "–") assert.equal(maxJsonValues(named), Number(values?.replaceAll(",", "")), key);
  }
  assert.ok(documented.some(({ key }) => key === pointKey("<point id>")));
  assert.ok(documented.some(({ key }) => key === jobKey("<job id>", "job")));
});
