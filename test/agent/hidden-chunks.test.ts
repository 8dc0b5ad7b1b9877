import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CHUNK_BYTES, CHUNK_RECORD_BYTES } from "../../repository/format/chunk.js";
import { agent, agentJson, startAgent } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../support/encryption.js";
import { startFaultProxy } from "../support/fault-proxy.js";
import { writeMixedImage } from "../support/images.js";
import { hidePacks, withOtherIds } from "../support/plant-pack.js";
import type { SeededRandom } from "../support/random.js";
import { agentFails, assertWhole, backUp, initPlain, type VerifyOutput } from "../support/repositories.js";
import { BUCKET, startS3Server } from "../support/s3-server.js";
import { assertSameContent } from "../support/same-content.js";
import { seeded } from "../support/seeded.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const SIZE_BYTES = 40 * CHUNK_BYTES + 777;
const INITS = { plain: initPlain, encrypted: initEncrypted };

type Forge = (footer: Buffer, root: Buffer) => Buffer;

const LIES: Record<string, Forge> = {
  "chunks that nobody knows": withOtherIds,
  "no chunks": () => Buffer.alloc(0),
  "chunks that nobody knows, and the block map at a wrong place": (footer, root) => {
    root.copy(withOtherIds(footer), 0);
    return footer;
  },
  "all its chunks but those of the block map": (footer, root) => {
    for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) {
      if (footer.subarray(at, at + root.length).equals(root)) footer[at] = (footer[at] as number) ^ 1;
    }
    return footer;
  },
};

async function hidden(kind: keyof typeof INITS, forge: Forge, random: SeededRandom) {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeMixedImage(image, SIZE_BYTES, random);
  const repo = join(folder, "repo");
  await INITS[kind](repo);
  const { point, volumes } = await backUp(repo, `${image}=disk`);
  const { storage } = await openWithPassphrase(repo);
  const root = Buffer.from(volumes[0]?.root ?? "", "hex");
  const segments = await hidePacks(storage, (footer) => forge(footer, root));
  const which = ["--repo", repo, "--point", point];
  return { folder, image, repo, point, segments, which };
}

for (const kind of ["plain", "encrypted"] as const) {
  const options = kind === "plain" ? {} : fullDepthOnly;
  describe(`chunks of packs of which the index lists something else, ${kind}`, options, () => {
    for (const [what, forge] of Object.entries(LIES)) {
      test(
        `(${what}) are restored, exported and copied, and a note names the segment`,
        needing("qemu-img"),
        seeded(async (random) => {
          const { folder, image, repo, point, segments, which } = await hidden(kind, forge, random);
          const run = async (...args: string[]) => {
            const { code, stdout, stderr } = await agent(...args, "--json");
            assert.equal(code, 0, stdout + stderr);
            const named = segments.filter((segment) => stderr.includes(segment));
            assert.ok(named.length > 0, stderr);
            assert.match(stderr, /does not list all chunks of packs\/.*blockferry-agent repair index/);
          };
          const [restored, exported] = [join(folder, "restored.img"), join(folder, "exported.img")];
          await run("restore", ...which, `--target=disk=${restored}`);
          await assertSameContent(restored, image);
          await run("restore", ...which, `--target=disk=${join(folder, "rest.img")}`, "--allow-missing");
          await run("export", ...which, "--volume", "disk", "--format", "raw", exported);
          await assertSameContent(exported, image);
          for (const to of ["plain", "encrypted"] as const) {
            const copy = join(folder, `copy-${to}`);
            await INITS[to](copy);
            process.env.BLOCKFERRY_FROM_PASSPHRASE =
              kind === "encrypted" ? process.env.BLOCKFERRY_PASSPHRASE : "";
            await run("copy", "--from", repo, "--to", copy, point);
            await assertWhole(copy);
          }
        }),
      );
    }

    test(
      "are called whole by verify and repair points, which name each false segment, and repair index brings them back",
      fullDepthOnly,
      seeded(async (random) => {
        const { repo, point, segments } = await hidden(kind, withOtherIds, random);
        for (const options of [[], ["--point", point]]) {
          const { code, stdout } = await agent("verify", "--repo", repo, "--json", ...options);
          assert.equal(code, 3, stdout);
          const { problems, damaged } = JSON.parse(stdout) as VerifyOutput;
          assert.deepEqual(damaged, []);
          assert.deepEqual(problems.map(({ object }) => object).sort(), segments);
          for (const { code: problem, remedy } of problems) {
            assert.equal(problem, "IndexFalse");
            assert.match(remedy, /repair index/);
          }
        }
        const losses = await agentJson("repair", "points", "--repo", repo);
        assert.deepEqual([losses.whole, losses.incomplete], [[point], []]);
        for (const command of [["prune", "--grace-period=0s"], ["stats"]]) {
          const refused = await agentFails(3, ...command, "--repo", repo);
          assert.equal(refused.code, "IndexFalse");
          assert.match(refused.remedy, /Nothing is lost.*repair index/);
        }
        await agentJson("repair", "index", "--repo", repo);
        await assertWhole(repo);
        await agentJson("prune", "--repo", repo, "--grace-period=0s");
        await assertWhole(repo);
      }),
    );
  });
}

test("no pack is read for it where nothing is missing", fullDepthOnly, async () => {
  const { endpointUrl } = await startS3Server("moto");
  const proxy = await startFaultProxy(endpointUrl);
  const image = join(await tempFolder(), "disk.img");
  const repo = `s3://${BUCKET}/intact`;
  await seeded((random) => writeMixedImage(image, SIZE_BYTES, random))();
  process.env.BLOCKFERRY_PASSPHRASE = "";
  await initPlain(repo);
  await backUp(repo, `${image}=disk`);
  const packReads = async () => {
    proxy.requests.length = 0;
    const args = ["repair", "points", "--repo", repo, "--json"];
    const { code, stdout } = await startAgent(args, { AWS_ENDPOINT_URL: proxy.endpointUrl }).result;
    assert.equal(code, 0, stdout);
    return proxy.requests.filter(({ method, url }) => method === "GET" && url.includes("/packs/")).length;
  };
  assert.equal(await packReads(), 1, "the only node of the block map");
  const { storage } = await openWithPassphrase(repo);
  await hidePacks(storage, withOtherIds);
  assert.ok((await packReads()) > 1);
});
