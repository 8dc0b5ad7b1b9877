import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { type AgentResult, agentJson, startAgent } from "../../support/agent.js";
import { FAULTS, type Fault, startFaultProxy } from "../../support/fault-proxy.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import { assertRestores, assertWhole, failure } from "../../support/repositories.js";
import { BUCKET, S3_SERVERS, s3ServerMissing, startS3Server } from "../../support/s3-server.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
/** Few tries, so that some commands do fail. */
const ATTEMPTS = { AWS_MAX_ATTEMPTS: "4" };

for (const name of S3_SERVERS) {
  const skip = await s3ServerMissing(name);
  describe(`whatever goes wrong between the agent and ${name}`, { skip }, async () => {
    if (skip !== false) return;
    const random = SeededRandom.fresh();
    const server = await startS3Server(name);
    const proxy = await startFaultProxy(server.endpointUrl);
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    before(() => writeMixedImage(image, 24 * MIB + 99, random));
    // moto takes a body whose checksum is wrong; AWS and versitygw refuse it.
    const faults = FAULTS.filter((fault) => name !== "moto" || fault !== "corrupt-request");

    const run = (repo: string, ...args: string[]) =>
      startAgent([...args, "--repo", repo, "--json", "--request-timeout=1"], {
        ...ATTEMPTS,
        AWS_ENDPOINT_URL: proxy.endpointUrl,
      }).result;

    /** Runs every command under `chooseFault`, and holds what it claims against a look without faults. */
    async function assertHonest(label: string, chooseFault: () => Fault | undefined): Promise<number> {
      const repo = `s3://${BUCKET}/${label}`;
      const endpointUrl = process.env.AWS_ENDPOINT_URL;
      process.env.AWS_ENDPOINT_URL = server.endpointUrl;
      await agentJson("init", "--repo", repo);
      proxy.chooseFault = chooseFault;
      const backups = [
        await run(repo, "backup", "--device", image),
        await run(repo, "backup", "--device", image),
      ];
      const restored = join(folder, `${label}.img`);
      const restore = await run(repo, "restore", "--point", "latest", "--target", restored);
      const verify = await run(repo, "verify", "--read-data");
      proxy.chooseFault = () => undefined;
      for (const result of [...backups, restore]) assertSaysWhy(result);
      if (verify.code !== 3) assertSaysWhy(verify);
      if (restore.code === 0) await assertSameContent(restored, image);
      await assertWhole(repo);
      const succeeded = backups.filter(({ code }) => code === 0).length;
      if (succeeded > 0) await assertRestores(repo, "latest", image, `${restored}.again`);
      process.env.AWS_ENDPOINT_URL = endpointUrl;
      return succeeded;
    }

    for (const fault of faults) {
      test(`${fault}, every fifth time, holds up nothing`, async () => {
        let count = 0;
        const succeeded = await assertHonest(fault, () => (++count % 5 === 0 ? fault : undefined));
        assert.equal(succeeded, 2);
      });
    }
  });
}

function assertSaysWhy(result: AgentResult): void {
  if (result.code !== 0) failure(result.code === 3 ? 3 : 1, result);
}
