import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { PruneReport } from "../../../../agent/maintenance/prune.js";
import { initRepository } from "../../../../repository/open/repository.js";
import { listPoints, removePoint } from "../../../../repository/points/points.js";
import { agentJson } from "../../../support/agent.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { makeManyPoints, randomRuns } from "../../../support/many-points.js";
import { runMeasured } from "../../../support/peak-memory.js";
import { seeded } from "../../../support/seeded.js";
import { tempFolder } from "../../../support/temp-folder.js";

const MIB = 2 ** 20;
const POINTS = 1000;
const MAX_RSS_BYTES = 600 * MIB;

test(
  `${POINTS} points and a million chunks are pruned in less than ${MAX_RSS_BYTES / MIB} MiB of memory`,
  fullDepthOnly,
  seeded(async (random) => {
    const repo = join(await tempFolder(), "repo");
    const repository = await initRepository(repo);
    await makeManyPoints(repository, randomRuns(POINTS, random));
    const { points } = await listPoints(repository.storage);
    assert.equal(points.length, POINTS);
    for (const { id } of points.filter((_, number) => number % 4 !== 3)) {
      await removePoint(repository.storage, id);
    }

    const { stdout, peakBytes } = await runMeasured([
      ...["prune", "--repo", repo, "--grace-period=0s", "--rewrite-below=60", "--json"],
    ]);
    const { rewritten, neededBytes } = JSON.parse(stdout) as PruneReport;
    assert.ok(rewritten.packs > POINTS / 10, `only ${rewritten.packs} packs were rewritten`);
    assert.ok(peakBytes <= MAX_RSS_BYTES, `prune took ${(peakBytes / MIB).toFixed(0)} MiB`);
    const again = await agentJson<PruneReport>("prune", "--repo", repo, "--dry-run");
    assert.deepEqual(
      [again.neededBytes, again.removed.packs],
      [neededBytes, 0],
      "all that is needed is there",
    );
  }),
);
