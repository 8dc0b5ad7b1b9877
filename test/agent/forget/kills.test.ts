import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pointKey } from "../../../repository/format/recovery-point.js";
import { openRepository } from "../../../repository/open/repository.js";
import { listPoints } from "../../../repository/points/points.js";
import { agentJson, startAgent } from "../../support/agent.js";
import { byDepth, fullDepthOnly } from "../../support/depth.js";
import { type Fault, type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { verifyInProcess } from "../../support/in-process.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { backUp, initPlain, newRepository } from "../../support/repositories.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

async function smallImage(): Promise<string> {
  const image = join(await tempFolder(), "disk.img");
  await writeRandomFile(image, 4096, SeededRandom.fresh());
  return image;
}

/** Returns the problems that `verify` finds. */
async function problemsIn(repo: string): Promise<string[]> {
  const { problems } = await verifyInProcess(await openRepository(repo), 0);
  return problems.map(({ code, object, remedy }) => {
    const command = /blockferry-agent forget [^ .]+/.exec(remedy);
    return `${code} ${object}: ${command}`;
  });
}

/** Returns the ids of the existing points, oldest first. */
async function idsIn(repo: string): Promise<string[]> {
  return (await listPoints((await openRepository(repo)).storage)).points.map(({ id }) => id);
}

const returned = (id: string) => `PointReturned ${pointKey(id)}: blockferry-agent forget ${id}`;

/**
 * Moments at which `forget` is killed at the second of three points, and the state of that point afterwards.
 */
const MOMENTS: {
  when: string;
  at: (request: ProxiedRequest) => boolean;
  fault: Fault;
  second: "there" | "returned" | "gone";
  /** Arguments of the next `forget`: rules or ids. */
  next: "by rules" | "by ids";
}[] = [
  {
    ...{ when: "before the tombstone is stored", at: isTombstone, fault: "stall-request" },
    ...{ second: "there", next: "by rules" },
  },
  {
    ...{ when: "when the tombstone is stored", at: isTombstone, fault: "stall-response" },
    ...{ second: "returned", next: "by rules" },
  },
  {
    ...{ when: "between tombstone and removal", at: isRemoval, fault: "stall-request" },
    ...{ second: "returned", next: "by ids" },
  },
  {
    ...{ when: "when the point is removed", at: isRemoval, fault: "stall-response" },
    ...{ second: "gone", next: "by ids" },
  },
];

function isTombstone({ method, url }: ProxiedRequest): boolean {
  return method === "PUT" && url.includes("/forgotten/");
}

function isRemoval({ method, url }: ProxiedRequest): boolean {
  return method === "DELETE" || (method === "POST" && /[?&]delete\b/.test(url));
}

describe("forget in S3, killed outright", async () => {
  const { endpointUrl } = await startS3Server("moto");
  const proxy = await startFaultProxy(endpointUrl);
  const image = await smallImage();
  for (const [number, { when, at, fault, second, next }] of MOMENTS.entries()) {
    const options = number === 0 ? {} : fullDepthOnly;
    test(`${when}, leaves what verify names, and the next one ${next} finishes`, options, async () => {
      const repo = `s3://${BUCKET}/killed-${number}`;
      await initPlain(repo);
      const ids: string[] = [];
      for (let count = 0; count < 4; count++) ids.push((await backUp(repo, image)).point);
      const [first = "", middle = "", last = "", kept = ""] = ids;
      proxy.requests.length = 0;
      proxy.chooseFault = (request) =>
        at(request) && proxy.requests.filter(at).length === 2 ? fault : undefined;
      const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
      const run = startAgent(["forget", first, middle, last, "--repo", repo], env);
      const isHeld = (request: ProxiedRequest) =>
        request.fault !== undefined && (fault === "stall-request" || request.status !== undefined);
      await waitUntil("the request that is held", () => proxy.requests.some(isHeld));
      run.process.kill("SIGKILL");
      assert.equal((await run.result).signal, "SIGKILL");

      const left = second === "gone" ? [last] : [middle, last];
      assert.deepEqual(await idsIn(repo), [...left, kept]);
      assert.deepEqual(await problemsIn(repo), second === "returned" ? [returned(middle)] : []);
      const whichPoints = next === "by ids" ? left : ["--keep-last=1", "--yes"];
      await agentJson("forget", "--repo", repo, ...whichPoints);
      assert.deepEqual(await idsIn(repo), [kept]);
      await agentJson("prune", "--repo", repo, "--grace-period=0s");
      assert.deepEqual(await problemsIn(repo), []);
    });
  }
});

const POINTS = byDepth({ quick: 5, full: 12 });

test(`forget in a folder, killed outright after any of ${POINTS} points, is finished by the next one`, async () => {
  const random = SeededRandom.fresh();
  const image = await smallImage();
  const repo = await newRepository(await tempFolder());
  for (let count = 0; count < POINTS; count++) await backUp(repo, image);
  const kept = (await idsIn(repo)).at(-1) as string;
  const forget = ["forget", "--repo", repo, "--keep-last=1", "--yes"];
  const count = async () => (await readdir(join(repo, "points"))).length;
  let killed = 0;
  for (let left = await count(); left > 3; left = await count()) {
    const goal = left - 1 - random.below(3);
    const run = startAgent(forget);
    await waitUntil(`${goal} points to be left`, async () => (await count()) <= goal);
    run.process.kill("SIGKILL");
    if ((await run.result).signal === "SIGKILL") killed++;
    const there = await idsIn(repo);
    const problems = await problemsIn(repo);
    assert.ok(
      problems.length <= 1 && problems.every((problem) => there.map(returned).includes(problem)),
      `BLOCKFERRY_TEST_SEED=${random.seed}\n${problems.join("\n")}`,
    );
  }
  assert.ok(killed > 0, "some run was killed while it forgot");
  await agentJson(...forget);
  assert.deepEqual(await idsIn(repo), [kept]);
  assert.deepEqual(await problemsIn(repo), []);
});
