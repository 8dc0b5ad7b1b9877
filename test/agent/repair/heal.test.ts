import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CHUNK_BYTES } from "../../../repository/chunk-id.js";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { agent, agentJson } from "../../support/agent.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import {
  assertRestores,
  backUp,
  type ListOutput,
  newRepository,
  type VerifyOutput,
} from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

test("after packs are lost, the next backup stores anew what they held, and the repository is whole again", async () => {
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
});
