import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { AgentOutput } from "../../../agent/cli/outputs.js";
import { openRepository } from "../../../repository/open/repository.js";
import { parseStorageLocation } from "../../../repository/storage/open-storage.js";
import { agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { PASSPHRASE } from "../../support/encryption.js";
import { startFaultProxy } from "../../support/fault-proxy.js";
import { writeMixedImage } from "../../support/images.js";
import { startNbd } from "../../support/nbd-server.js";
import { oddServer, PAGE_OBJECTS } from "../../support/odd-server.js";
import { plantPoints } from "../../support/planted-points.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, newRepository, pointIds, restoreTo } from "../../support/repositories.js";
import { runTool } from "../../support/run-tool.js";
import { S3Objects } from "../../support/s3-objects.js";
import {
  BUCKET,
  datesUploads,
  MISDATES,
  REFUSED_SERVERS,
  S3_SERVER_NAMES,
  type S3Server,
  startS3Server,
} from "../../support/s3-server.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;

const UNUSUAL_PREFIXES = ["two words/a+b=c&d 100%25 %2F/Grüße/日本語/🚢", `"'<&amp;>(1)*!~;:@$,[x]?#f`];

for (const name of S3_SERVER_NAMES) {
  describe(`the S3 server ${name}`, fullDepthOnly, async () => {
    const server = await startS3Server(name);
    // Each server that starts sets the variables.
    before(() => {
      Object.assign(process.env, server.environment);
    });
    const objects = new S3Objects(server.endpointUrl);
    const refusal = REFUSED_SERVERS[name];
    if (refusal === undefined) testCommands(server, objects, await tempFolder());
    else {
      test("is refused by init, which leaves nothing there", async () => {
        const error = await agentFails(1, "init", "--repo", `s3://${BUCKET}/refused`);
        assert.equal(error.code, refusal);
        assert.deepEqual(await objects.keys(""), []);
      });
    }
  });
}

// Moto checks no signature, so that a proxy may ask it for smaller pages.
describe("a server with small pages", fullDepthOnly, async () => {
  const proxy = await oddServer("list-small-pages");
  before(() => {
    process.env.AWS_ENDPOINT_URL = proxy.endpointUrl;
  });

  test("gives whole lists to every command", async () => {
    const repo = `s3://${BUCKET}/pages`;
    await agentJson("init", "--repo", repo);
    const { storage, config } = await openRepository(parseStorageLocation(repo));
    const now = Date.now();
    const times = Array.from(
      { length: 2 * PAGE_OBJECTS + 5 },
      (_, number) => new Date(now - number * 60_000),
    );
    const planted = await plantPoints(storage, config.id, times, "now");
    assert.deepEqual(await pointIds(repo), planted.toSorted());
    await agentJson("forget", "--keep-last=1", "--yes", "--repo", repo);
    assert.deepEqual(await pointIds(repo), [planted[0]]);
    assert.ok(proxy.requests.some(({ url }) => url.includes("continuation-token=")));
  });
});

/** Tests every command that uses the storage of a repository. */
function testCommands(server: S3Server, objects: S3Objects, folder: string): void {
  const random = SeededRandom.fresh();
  const image = join(folder, "disk.img");
  const small = join(folder, "small.img");
  before(async () => {
    await writeMixedImage(image, 40 * MIB + 777, random);
    await writeRandomFile(small, 2 * MIB, random);
  });

  for (const encryption of ["none", "passphrase"] as const) {
    test(`holds a repository with encryption ${encryption}, for every command`, async () => {
      const passphrases = ["BLOCKFERRY_PASSPHRASE", "BLOCKFERRY_FROM_PASSPHRASE"];
      if (encryption === "passphrase") for (const variable of passphrases) process.env[variable] = PASSPHRASE;
      try {
        await useEveryCommand(`every-${encryption}`, encryption);
      } finally {
        for (const variable of passphrases) delete process.env[variable];
      }
    });
  }

  async function useEveryCommand(prefix: string, encryption: "none" | "passphrase"): Promise<void> {
    const options = encryption === "none" ? [] : ["--encrypt", encryption];
    const repo = await init(prefix, ...options);
    assert.equal((await agentFails(1, "init", "--repo", repo, ...options)).code, "RepositoryExists");
    const first = await backUp(repo, image);
    const old = join(folder, `${prefix}.old`);
    await runTool("cp", image, old);
    assert.equal((await backUp(repo, image)).stats.newBytes, 0);
    await change(image);
    const changed = await backUp(repo, image, "--tag=changed=yes");
    assert.ok(changed.stats.newBytes > 0 && changed.stats.newBytes <= 2 * MIB, `${changed.stats.newBytes}`);
    assert.equal((await pointIds(repo)).length, 3);
    const shown = await agentJson<AgentOutput<"show">>("show", "latest", "--repo", repo);
    assert.equal(shown.id, changed.point);
    await assertProven(repo);
    for (const [point, expected] of [
      [first.point, old],
      [changed.point, image],
    ] as const) {
      const target = join(folder, `${prefix}.${point}`);
      await restoreTo(repo, point, target);
      await assertSameContent(target, expected);
    }

    const socket = join(folder, `${prefix}.sock`);
    const nbd = await startNbd("--repo", repo, "--point", first.point, "--listen", `unix:${socket}`);
    await runTool("nbdcopy", nbd.listening, join(folder, `${prefix}.nbd`));
    await nbd.stop();
    await assertSameContent(join(folder, `${prefix}.nbd`), old);

    const local = await newRepository(folder, `${prefix}.copy`);
    await agentJson("copy", "--from", repo, "--to", local);
    const back = await init(`${prefix}-back`, ...options);
    await agentJson("copy", "--from", local, "--to", back);
    assert.deepEqual(await pointIds(back), await pointIds(repo));
    await restoreTo(back, "latest", join(folder, `${prefix}.back`));
    await assertSameContent(join(folder, `${prefix}.back`), image);

    const { deadBytes } = await agentJson<AgentOutput<"stats">>("stats", "--repo", repo);
    const { packs } = await agentJson<AgentOutput<"repair index">>("repair", "index", "--repo", repo);
    assert.ok(packs > 0);
    await backUp(repo, small);
    await agentJson("forget", "--keep-last=1", "--volume=disk.img", "--yes", "--repo", repo);
    const dead = await agentJson<AgentOutput<"stats">>("stats", "--repo", repo);
    assert.ok(dead.deadBytes > deadBytes, `${dead.deadBytes} bytes are dead`);
    for (const _run of ["notice", "condemn", "remove"])
      await agentJson("prune", "--grace-period=0s", "--repo", repo);
    const pruned = await agentJson<AgentOutput<"stats">>("stats", "--repo", repo);
    assert.ok(
      pruned.storedBytes < dead.storedBytes,
      `${pruned.storedBytes} of ${dead.storedBytes} bytes stay`,
    );
    await assertProven(repo);
    await restoreTo(repo, changed.point, join(folder, `${prefix}.kept`));
    await assertSameContent(join(folder, `${prefix}.kept`), image);
    if (encryption === "passphrase") await useSecondKey(repo);
    await assertNoLeftovers(prefix);
  }

  async function useSecondKey(repo: string): Promise<void> {
    const added = ["key", "add", "--with", "passphrase", "--repo", repo, "--json"];
    const { code, stdout } = await startAgent(added, { BLOCKFERRY_NEW_PASSPHRASE: "the second" }).result;
    assert.equal(code, 0, stdout);
    const list = ["key", "list", "--repo", repo, "--json"];
    const listed = await startAgent(list, { BLOCKFERRY_PASSPHRASE: "the second" }).result;
    assert.equal(listed.code, 0, listed.stdout);
    assert.equal((JSON.parse(listed.stdout) as AgentOutput<"key list">).keys.length, 2);
  }

  test("takes two backups at once", datesUploads(server.name) ? {} : { skip: MISDATES }, async () => {
    const repo = await init("both");
    const [one, two] = await Promise.all([backUp(repo, image), backUp(repo, small)]);
    for (const [point, expected] of [
      [one.point, image],
      [two.point, small],
    ] as const) {
      const target = join(folder, `both.${point}`);
      await restoreTo(repo, point, target);
      await assertSameContent(target, expected);
    }
    await assertProven(repo);
    await assertNoLeftovers("both");
  });

  test("keeps nothing of a killed backup but whole packs after the next one", async () => {
    const repo = await init("killed");
    const proxy = await startFaultProxy(server.endpointUrl);
    proxy.chooseFault = ({ url }) => (/partNumber=2/i.test(url) ? "stall-request" : undefined);
    const args = ["backup", "--repo", repo, "--device", image, "--threads=1", "--json"];
    const run = startAgent(args, { AWS_ENDPOINT_URL: proxy.endpointUrl });
    await waitUntil("a stored part, and another that stalls", () => {
      const isStored = proxy.requests.some(({ url, status }) => /partNumber=1/i.test(url) && status === 200);
      return isStored && proxy.requests.some(({ fault }) => fault !== undefined);
    });
    run.process.kill("SIGKILL");
    await run.result;
    assert.ok((await objects.uploads("killed/")).length > 0, "an upload was left unfinished");
    await backUp(repo, image);
    assert.deepEqual(await objects.uploads("killed/"), []);
    await assertProven(repo);
    await agentJson("prune", "--repo", repo);
    await assertNoLeftovers("killed");
  });

  for (const prefix of UNUSUAL_PREFIXES) {
    test(`holds a repository with the prefix ${prefix}`, async () => {
      const repo = await init(prefix);
      const { point } = await backUp(repo, small);
      const changed = join(folder, "unusual.img");
      await writeRandomFile(changed, 2 * MIB, random);
      const second = await backUp(repo, changed);
      assert.deepEqual(await pointIds(repo), [point, second.point]);
      await assertProven(repo);
      const before = await agentJson<AgentOutput<"stats">>("stats", "--repo", repo);
      await agentJson("forget", point, "--repo", repo);
      for (const _run of ["notice", "condemn", "remove"])
        await agentJson("prune", "--grace-period=0s", "--repo", repo);
      const pruned = await agentJson<AgentOutput<"stats">>("stats", "--repo", repo);
      assert.ok(pruned.packs < before.packs, `${pruned.packs} of ${before.packs} packs`);
      await restoreTo(repo, second.point, join(folder, "unusual.restored"), "--force");
      await assertSameContent(join(folder, "unusual.restored"), changed);
    });
  }

  async function init(prefix: string, ...options: string[]): Promise<string> {
    const repo = `s3://${BUCKET}/${prefix}`;
    await agentJson("init", "--repo", repo, ...options);
    return repo;
  }

  async function change(path: string): Promise<void> {
    const file = await open(path, "r+");
    await file.write(random.bytes(MIB), 0, MIB, 17 * MIB);
    await file.close();
  }

  async function assertProven(repo: string): Promise<void> {
    const report = await agentJson<AgentOutput<"verify">>("verify", "--read-data", "--repo", repo);
    assert.deepEqual([report.problems, report.damaged, report.notes], [[], [], []]);
    assert.equal(report.packsRead, report.packs);
  }

  async function assertNoLeftovers(prefix: string): Promise<void> {
    assert.deepEqual(await objects.uploads(`${prefix}/`), []);
    assert.deepEqual(await objects.keys(`${prefix}/tmp/`), []);
    assert.deepEqual(await objects.keys(`${prefix}/locks/`), []);
  }
}
