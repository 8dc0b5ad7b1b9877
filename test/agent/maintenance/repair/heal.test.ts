import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CHUNK_BYTES } from "../../../../repository/format/chunk.js";
import { LocalDirectory } from "../../../../repository/storage/local/local-directory.js";
import { agent, agentJson } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { writeMixedImage } from "../../../support/images.js";
import { withLoopDevice } from "../../../support/loop-device.js";
import { SeededRandom } from "../../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../../support/random-files.js";
import {
  assertRestores,
  backUp,
  type ListOutput,
  newRepository,
  type VerifyOutput,
} from "../../../support/repositories.js";
import { rootTest } from "../../../support/root-test.js";
import { tempFolder } from "../../../support/temp-folder.js";

test(
  "after packs are lost, the next backup stores their chunks again, and the repository is whole",
  fullDepthOnly,
  async () => {
    const folder = await tempFolder();
    const image = join(folder, "volume.img");
    await writeMixedImage(image, 16 * CHUNK_BYTES, new SeededRandom("repair"));
    const repo = await newRepository(folder);
    await backUp(repo, image);
    for (const { key } of await new LocalDirectory(repo).list("packs/")) await rm(join(repo, key));
    assert.equal((await agent("verify", "--repo", repo)).code, 3);
    await backUp(repo, image);
    const report = await agentJson<VerifyOutput>("verify", "--repo", repo, "--read-data");
    assert.equal(report.ok, true);
    assert.ok(report.notes.length > 0 && report.notes.every(({ code }) => code === "PackMissing"));
    const { points } = await agentJson<ListOutput>("list", "--repo", repo);
    for (const { id } of points) await assertRestores(repo, id, image, join(folder, id));
  },
);

rootTest("lost data become zeros on a device that held other data, and the rest is right", async () => {
  const folder = await tempFolder();
  const random = new SeededRandom("device");
  const [image, target] = [join(folder, "volume.img"), join(folder, "device.img")];
  await writeRandomFile(image, 4 * CHUNK_BYTES, random);
  await writeRandomFile(target, 4 * CHUNK_BYTES, random);
  const repo = await newRepository(folder);
  const first = await backUp(repo, image);
  const storage = new LocalDirectory(repo);
  const before = new Set((await storage.list("packs/")).map(({ key }) => key));
  await overwriteAtRandom(image, CHUNK_BYTES, CHUNK_BYTES, random);
  await backUp(repo, image);
  const added = (await storage.list("packs/")).filter(({ key }) => !before.has(key));
  const data = added.find(({ sizeBytes }) => sizeBytes > CHUNK_BYTES);
  await damageMiddle(join(repo, data?.key ?? ""));
  await withLoopDevice(target, { sectorBytes: 512 }, async (device) => {
    const args = ["restore", "--repo", repo, "--target", device, "--allow-missing", "--json"];
    const { code, stdout } = await agent(...args, "--point=latest");
    assert.equal(code, 3, stdout);
    const expected = await readFile(image);
    expected.fill(0, CHUNK_BYTES, 2 * CHUNK_BYTES);
    assert.ok((await readFile(device)).equals(expected));
    assert.equal((await agent(...args, "--point", first.point)).code, 0);
  });
});

async function damageMiddle(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}
