import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { CopyReport } from "../../../agent/maintenance/copy.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import type { RecoveryPoint } from "../../../repository/format/recovery-point.js";
import { agentJson } from "../../support/agent.js";
import { byDepth } from "../../support/depth.js";
import { initEncrypted, PASSPHRASE } from "../../support/encryption.js";
import { overwriteAtRandom, writeRandomFile } from "../../support/random-files.js";
import {
  agentFails,
  assertRestores,
  assertWhole,
  backUp,
  filesBelow,
  newRepository,
  pointIds,
} from "../../support/repositories.js";
import { seeded } from "../../support/seeded.js";
import { tempFolder } from "../../support/temp-folder.js";

const CHUNKS = 8;
type Kind = "plain" | "encrypted";

process.env.BLOCKFERRY_FROM_PASSPHRASE = PASSPHRASE;

async function newOf(kind: Kind, folder: string, name: string): Promise<string> {
  if (kind === "plain") return newRepository(folder, name);
  await initEncrypted(join(folder, name));
  return join(folder, name);
}

const copy = (from: string, to: string, ...points: string[]) =>
  agentJson<CopyReport>("copy", "--from", from, "--to", to, ...points);
const show = (repo: string, point: string) => agentJson<RecoveryPoint>("show", point, "--repo", repo);

describe("points are copied bit for bit, and an unchanged chunk is stored once,", () => {
  const plainToEncrypted: [Kind, Kind] = ["plain", "encrypted"];
  const ways = byDepth<[Kind, Kind][], [Kind, Kind][]>({
    quick: [plainToEncrypted],
    full: [plainToEncrypted, ["encrypted", "plain"], ["encrypted", "encrypted"]],
  });
  for (const [source, target] of ways) {
    test(
      `from ${source} to ${target}`,
      seeded(async (random) => {
        const folder = await tempFolder();
        const [old, now] = [join(folder, "old.img"), join(folder, "now.img")] as const;
        const [from, to] = [await newOf(source, folder, "from"), await newOf(target, folder, "to")];
        await writeRandomFile(old, CHUNKS * CHUNK_BYTES + 513, random);
        const { point: first } = await backUp(from, `${old}=disk`, "--tag", "env=test");
        await writeFile(now, await readFile(old));
        await overwriteAtRandom(now, 0, 2 * CHUNK_BYTES, random);
        const { point: second } = await backUp(from, `${now}=disk`);

        const one = await copy(from, to, first);
        assert.deepEqual([one.copied, one.present, one.chunks], [[first], [], CHUNKS + 2]);
        const rest = await copy(from, to);
        assert.deepEqual([rest.copied, rest.present, rest.chunks], [[second], [first], 2 + 1]);
        const nothing = await copy(from, to);
        assert.deepEqual([nothing.copied, nothing.chunks, nothing.storedBytes], [[], 0, 0]);

        assert.deepEqual(await pointIds(to), [first, second]);
        await assertRestores(to, first, old, join(folder, "old.restored"));
        await assertRestores(to, second, now, join(folder, "now.restored"));
        await assertWhole(to);
        const [here, there] = [await show(from, first), await show(to, first)];
        const { root } = here.volumes[0] ?? {};
        assert.notEqual(root, there.volumes[0]?.root, "its chunks have other names");
        assert.deepEqual([there.tags, there.stats, there.createdAt], [here.tags, here.stats, here.createdAt]);
        const { stats } = await backUp(to, `${now}=disk`);
        assert.equal(stats.newBytes, 0, "a backup relies on what was copied");
      }),
    );
  }
});

test(
  "a point that lacks data is not copied under new names, and the reason is given",
  seeded(async (random) => {
    const folder = await tempFolder();
    const [from, to] = [await newOf("plain", folder, "from"), await newOf("encrypted", folder, "to")];
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 2 * CHUNK_BYTES, random);
    await backUp(from, image);
    for (const pack of await filesBelow(join(from, "packs"))) {
      const bytes = await readFile(pack);
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
      await writeFile(pack, bytes);
    }
    assert.equal((await agentFails(3, "copy", "--from", from, "--to", to)).code, "ChunkCorrupt");
    assert.deepEqual(await pointIds(to), []);
  }),
);
