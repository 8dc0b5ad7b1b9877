import assert from "node:assert/strict";
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openRepository } from "../../repository/open/repository.js";
import { type ExpectedContent, FIXTURE_PASSPHRASE, FIXTURES, fixtureOf } from "../fixtures/fixtures.js";
import { byDepth } from "../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../support/encryption.js";
import { assertWhole, newRepository, pointIds, restoreTo } from "../support/repositories.js";
import { sha256File } from "../support/same-content.js";
import { tempFolder } from "../support/temp-folder.js";

process.env.BLOCKFERRY_PASSPHRASE = FIXTURE_PASSPHRASE;
const formats = (await readdir(FIXTURES)).filter((name) => name.startsWith("format-")).sort();

for (const format of byDepth({ quick: [formats[0], formats.at(-1)], full: formats }) as string[]) {
  test(`a repository of ${format} is whole to this version, and every volume comes back bit for bit`, async () => {
    const folder = await tempFolder();
    const repo = join(folder, "repo");
    await cp(join(FIXTURES, format, "repository"), repo, { recursive: true });
    const expected = JSON.parse(
      await readFile(join(FIXTURES, format, "expected.json"), "utf8"),
    ) as ExpectedContent;
    assert.deepEqual(await pointIds(repo), Object.keys(expected));
    const { packs, packsRead } = await assertWhole(repo);
    assert.ok(packs > 0 && packsRead === packs);
    for (const [point, volumes] of Object.entries(expected)) {
      const names = Object.keys(volumes);
      const target = (name: string) => join(folder, `${point}-${name}`);
      await restoreTo(
        repo,
        point,
        names.map((name) => `${name}=${target(name)}`),
      );
      for (const name of names)
        assert.equal(await sha256File(target(name)), volumes[name], `${point}, ${name}`);
    }
  });
}

test("the formats of new repositories have fixtures, too", async () => {
  const folder = await tempFolder();
  const plain = await openRepository(await newRepository(folder));
  await initEncrypted(join(folder, "encrypted"));
  const encrypted = await openWithPassphrase(join(folder, "encrypted"));
  for (const { config } of [plain, encrypted])
    assert.ok(formats.includes(fixtureOf(config)), fixtureOf(config));
});
