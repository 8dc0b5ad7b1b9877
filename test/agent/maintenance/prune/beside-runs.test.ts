import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PruneReport } from "../../../../agent/maintenance/prune.js";
import type { ErrorRecord } from "../../../../foundation/errors.js";
import { sealJson } from "../../../../repository/format/sealed-json.js";
import { openRepository } from "../../../../repository/open/repository.js";
import { Lease } from "../../../../repository/protocol/lease.js";
import { agent, startAgent } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { SeededRandom } from "../../../support/random.js";
import { agentFails, backUp, filesBelow, pointIds } from "../../../support/repositories.js";
import { seeded } from "../../../support/seeded.js";
import type { ProgramResult } from "../../../support/start-program.js";
import { waitUntil } from "../../../support/wait-until.js";
import { Fixture, NOW } from "./fixture.js";

const MIB = 1024 * 1024;

test(
  "a backup that relies on packs which are condemned while it runs keeps them",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const condemned: PruneReport[] = [];
    const point = await fixture.backUpHere(async () => {
      condemned.push(await fixture.prune(...NOW), await fixture.prune(...NOW));
    });
    assert.deepEqual(
      condemned.map(({ waiting }) => waiting.packs),
      [2, 2],
    );
    assert.deepEqual(
      condemned.map(({ removed }) => removed.packs),
      [0, 0],
      "the backup is waited for",
    );
    assert.equal(point.stats.newBytes, 0, "it stored nothing anew");
    const { removed, waiting, kept } = await fixture.prune(...NOW);
    assert.deepEqual([removed.packs, waiting.packs, kept.packs], [0, 0, 2]);
    await fixture.assertRestores(point.id);
    await fixture.assertTidy();
  }),
);

test(
  "a backup that begins after packs were condemned does not rely on them",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const { storage } = await openRepository(fixture.repo);
    const witness = await Lease.acquire(storage, "read");
    assert.equal((await fixture.prune(...NOW)).waiting.packs, 2);
    const { stats, point } = await backUp(fixture.repo, fixture.image);
    assert.ok(stats.newBytes > 24 * 1024 * 1024, `${stats.newBytes} bytes`);
    await witness.release();
    assert.equal((await fixture.prune(...NOW)).removed.packs, 2);
    await fixture.assertRestores(point);
    await fixture.assertTidy();
  }),
);

test(
  "a reader that began after packs were condemned is waited for, and later ones are not",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const { storage } = await openRepository(fixture.repo);
    const witness = await Lease.acquire(storage, "read");
    await fixture.prune(...NOW);
    const reader = await Lease.acquire(storage, "read");
    await witness.release();
    for (const _ of [1, 2]) {
      const { removed, waiting } = await fixture.prune(...NOW);
      assert.deepEqual([removed.packs, waiting.packs], [0, 2]);
    }
    const later = await Lease.acquire(storage, "read");
    await reader.release();
    assert.equal((await fixture.prune(...NOW)).removed.packs, 2);
    await later.release();
    await fixture.assertTidy();
  }),
);

test(
  "a damaged condemnation stops no backup, prune or restore, and verify names it",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    const { storage } = await openRepository(fixture.repo);
    await storage.put("prune/0123456789abcdef.json", Buffer.from("{}"));
    await fixture.assertRestores(first);
    await fixture.change(0, MIB);
    const second = await fixture.backUp();
    await agent("prune", ...NOW, "--repo", fixture.repo);
    await fixture.assertRestores(second);
    const error = failureOrProblem(await agent("verify", "--repo", fixture.repo, "--json"));
    assert.deepEqual([error.code, error.object], ["ObjectCorrupt", "prune/0123456789abcdef.json"]);
    await storage.delete(["prune/0123456789abcdef.json"]);
    await fixture.assertTidy();
  }),
);

test(
  "a backup that was taken for dead makes no point, and the next one is whole",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const lost = fixture.backUpHere(async () => {
      for (const lease of await filesBelow(join(fixture.repo, "locks"))) await rm(lease);
      assert.equal((await fixture.prune(...NOW)).removed.packs, 2);
    });
    await assert.rejects(lost, { code: "LeaseLost" });
    assert.deepEqual(await pointIds(fixture.repo), []);
    await fixture.assertRestores(await fixture.backUp());
    await fixture.prune(...NOW);
    await fixture.assertTidy();
  }),
);

test(
  "the objects that a reader relies on stay until it has ended, and a dead reader is not waited for",
  fullDepthOnly,
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    await fixture.forget(await fixture.backUp());
    const { storage } = await openRepository(fixture.repo);
    const lease = await Lease.acquire(storage, "read");
    assert.equal((await fixture.prune(...NOW)).removed.packs, 0);
    await lease.release();
    assert.equal((await fixture.prune(...NOW)).removed.packs, 2);

    await fixture.forget(await fixture.backUp());
    const killed = startAgent(["verify", "--read-data", "--repo", fixture.repo]);
    await waitForLease(fixture.repo);
    killed.process.kill("SIGKILL");
    await killed.result;
    assert.equal((await fixture.prune(...NOW)).removed.packs, 2);
    await fixture.assertTidy();
  }),
);

test("two prunes do not run at once", async () => {
  const fixture = await Fixture.create(SeededRandom.fresh());
  const { storage } = await openRepository(fixture.repo);
  const lease = await Lease.acquire(storage, "prune");
  const error = await agentFails(1, "prune", "--repo", fixture.repo);
  assert.equal(error.code, "PruneRunning");
  await lease.release();
  await fixture.prune();
});

async function waitForLease(repo: string): Promise<void> {
  await waitUntil("a lease", async () => (await filesBelow(join(repo, "locks"))).length > 0);
}

/** Returns the error of a failed run, or the first problem that a verification found. */
function failureOrProblem({ code, stdout }: ProgramResult): ErrorRecord {
  assert.equal(code, 3, stdout);
  const { error, problems } = JSON.parse(stdout) as { error?: ErrorRecord; problems?: ErrorRecord[] };
  return error ?? (problems?.[0] as ErrorRecord);
}

test(
  "a planted condemnation that leaves out the runs under way takes nothing from them",
  seeded(async (random) => {
    const fixture = await Fixture.create(random);
    const first = await fixture.backUp();
    await fixture.forget(first);
    const relying = await fixture.backUpHere(async () => {
      const { storage } = await openRepository(fixture.repo);
      const packs = (await storage.list("packs/")).map(({ key }) => key.slice(-32));
      const id = "0123456789abcdef";
      const condemnedAt = "2020-01-01T00:00:00.000Z";
      await storage.put(`prune/${id}.json`, sealJson({ version: 1, id, condemnedAt, packs }));
      for (const runs of ["witnesses", "readers"])
        await storage.put(`prune/${id}-${runs}.json`, sealJson({ version: 1, leases: [] }));
      assert.equal((await fixture.prune(...NOW)).removed.packs, 0);
    });
    await fixture.assertRestores(relying.id);
  }),
);
