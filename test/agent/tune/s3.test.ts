import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import type { Tuning } from "../../../agent/tune/tune.js";
import { agentJson } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { BUCKET, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";

test(
  "tune measures uploads to S3, and leaves neither an object nor an unfinished upload",
  fullDepthOnly,
  async () => {
    const { endpointUrl } = await startS3Server("moto");
    const image = join(await tempFolder(), "disk.img");
    await writeRandomFile(image, 1024 * 1024, SeededRandom.fresh());
    const repo = ["--repo", `s3://${BUCKET}/repo`, "--endpoint-url", endpointUrl, "--force-path-style"];
    await agentJson("init", ...repo);
    const { figures, advice } = await agentJson<Tuning>("tune", "--device", image, ...repo, "--seconds", "2");
    assert.ok(figures.upload.every(({ bytesPerSecond }) => bytesPerSecond > 0));
    assert.equal(advice.partBytes, 8 * 1024 * 1024);
    const client = new S3Client({ endpoint: endpointUrl, forcePathStyle: true });
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      ["repo/config.json"],
    );
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    assert.deepEqual(Uploads, []);
  },
);
