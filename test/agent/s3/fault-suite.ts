import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { initRepository } from "../../../repository/open/repository.js";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { FAULTS, type Fault, type FaultProxy, startFaultProxy } from "../../support/fault-proxy.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import { assertRestores, assertWhole, failure } from "../../support/repositories.js";
import { BUCKET, needingServer, type S3ServerName, startS3Server } from "../../support/s3-server.js";
import { assertSameContent } from "../../support/same-content.js";
import type { ProgramResult } from "../../support/start-program.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
/** A short timeout, so that some commands fail. */
const PATIENCE = { BLOCKFERRY_OUTAGE_TIMEOUT_MS: "300" };
/** Faults, and rounds of a mixture, that run in parallel: part of their time is spent waiting. */
const LANES = 4;
/** With at least this number of mixtures, some backups fail and some succeed. */
const ROUNDS_WITH_BOTH = 20;

interface FaultSuiteOptions {
  server: S3ServerName;
  /** Each of these faults is tried alone. */
  faults: readonly Fault[];
  /** Number of rounds with a random mixture of all faults. */
  mixedRounds: number;
}

/** A refusal and a lost answer: the faults that quick depth tries. */
const QUICK_FAULTS: readonly string[] = ["error-500", "lose-response"];

/**
 * Under any fault, a backup commits and restores bit for bit; or it fails, reports the cause, and leaves an
 * intact repository.
 */
export function testFaults({ server: name, faults, mixedRounds }: FaultSuiteOptions): void {
  describe(`whatever goes wrong between the agent and ${name}`, {
    ...needingServer(name),
    concurrency: LANES,
  }, async () => {
    const random = SeededRandom.fresh();
    const server = await startS3Server(name);
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    before(() => writeMixedImage(image, 24 * MIB + 99, random));

    for (const fault of faults) {
      const options = QUICK_FAULTS.includes(fault) ? {} : fullDepthOnly;
      test(`${fault}, every fifth time, holds up nothing`, options, async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        let count = 0;
        const choose = () => (++count % 5 === 0 ? fault : undefined);
        assert.equal(await assertHonest(fault, proxy, choose), 2, describeFaults(proxy));
      });
    }

    if (mixedRounds === 0) return;
    test(`${mixedRounds} mixtures of faults lose nothing silently (seed ${random.seed})`, async () => {
      const rounds = Array.from({ length: mixedRounds }, (_, round) => round);
      const outcomes: number[] = [];
      const runLane = async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        for (let round = rounds.shift(); round !== undefined; round = rounds.shift()) {
          const mixture = new SeededRandom(`${random.seed}, mixture ${round}`);
          const percent = mixture.below(40) + 2;
          const choose = () => (mixture.below(100) < percent ? mixture.pick(FAULTS) : undefined);
          outcomes.push(await assertHonest(`mixture-${round}`, proxy, choose));
        }
      };
      await Promise.all(Array.from({ length: LANES }, runLane));
      assert.equal(outcomes.length, mixedRounds);
      if (mixedRounds < ROUNDS_WITH_BOTH) return;
      const failed = outcomes.filter((succeeded) => succeeded < 2).length;
      assert.ok(failed > 0 && failed < mixedRounds, `${failed} of ${mixedRounds} rounds had a failed backup`);
    });

    /**
     * Runs every command under `chooseFault`, and checks its result without faults.
     * @returns how many of two backups succeeded
     */
    async function assertHonest(
      label: string,
      proxy: FaultProxy,
      chooseFault: () => Fault | undefined,
    ): Promise<number> {
      const repo = `s3://${BUCKET}/${label}`;
      const run = (...args: string[]) =>
        startAgent([...args, "--repo", repo, "--json", "--request-timeout=1"], {
          ...PATIENCE,
          AWS_ENDPOINT_URL: proxy.endpointUrl,
        }).result;
      await initRepository(repo);
      proxy.chooseFault = chooseFault;
      const backups = [await run("backup", "--device", image), await run("backup", "--device", image)];
      const restored = join(folder, `${label}.img`);
      const restore = await run("restore", "--point", "latest", "--target", restored, "--threads=1");
      const verify = await run("verify", "--read-data", "--threads=1");
      proxy.chooseFault = () => undefined;
      for (const result of [...backups, restore]) assertSaysWhy(result);
      if (verify.code !== 3) assertSaysWhy(verify);
      if (restore.code === 0) await assertSameContent(restored, image);
      await assertWhole(repo);
      const succeeded = backups.filter(({ code }) => code === 0).length;
      if (succeeded > 0 && restore.code !== 0) {
        await assertRestores(repo, "latest", image, `${restored}.again`);
      }
      return succeeded;
    }
  });
}

function assertSaysWhy(result: ProgramResult): void {
  if (result.code !== 0) failure(result.code === 3 ? 3 : 1, result);
}

function describeFaults({ requests }: FaultProxy): string {
  const faulty = requests.filter(({ fault }) => fault !== undefined);
  return faulty.map(({ method, url, status }) => `${method} ${url} ${status ?? "unanswered"}`).join("\n");
}
