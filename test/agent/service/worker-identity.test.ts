import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { instanceId, repositoryFromUserData } from "../../../agent/service/worker-identity.js";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { jobVolume, WORKER } from "../../support/jobs.js";
import { startMetadataServer } from "../../support/metadata-server.js";
import { failure, newRepository } from "../../support/repositories.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const NO_DEVICES = ["--sysfs", "/nowhere/sys", "--dev", "/nowhere/dev"];

const userData = (blockferry: object) => JSON.stringify({ blockferry });

describe("a worker launched with a repository in its user data", () => {
  test("serves it without any options, under its own instance id", async () => {
    const served = await ServedRepository.open(await newRepository(await tempFolder()));
    const job = await served.addJob([jobVolume(0, 4096)], { expiresAt: "2026-01-01T00:00:00.000Z" });
    const { env, requests } = await startMetadataServer({
      instanceId: WORKER,
      userData: userData({ repo: served.repo }),
    });
    const { code, stderr } = await startAgent(["serve", "--once", ...NO_DEVICES], env).result;
    assert.equal(code, 1, stderr);
    assert.equal((await served.result(job.id))?.worker, WORKER);
    assert.deepEqual(requests, [
      ...["PUT /latest/api/token", "GET /latest/user-data"],
      ...["PUT /latest/api/token", "GET /latest/meta-data/instance-id"],
    ]);
  });

  test("prefers the repository of its options", async () => {
    const repo = await newRepository(await tempFolder());
    const { env, requests } = await startMetadataServer({
      instanceId: WORKER,
      userData: userData({ repo: "/nowhere" }),
    });
    const { code, stderr } = await startAgent(["serve", "--once", "--repo", repo], env).result;
    assert.equal(code, 0, stderr);
    assert.ok(!requests.includes("GET /latest/user-data"));
  });

  test("ends with the reason when the user data are not for blockferry", fullDepthOnly, async () => {
    const refused: Record<string, string | undefined> = {
      "there are none": undefined,
      "a shell script": "#!/bin/sh\necho hello\n",
      "another's document": JSON.stringify({ cloud: "config" }),
      "no repository": userData({}),
      "an empty repository": userData({ repo: "" }),
      "a field that is unknown": userData({ repo: "s3://my-backups/fleet-a", secretKey: "x" }),
    };
    for (const [what, text] of Object.entries(refused)) {
      const { env } = await startMetadataServer({ instanceId: WORKER, userData: text });
      const error = failure(1, await startAgent(["serve", "--once", "--json"], env).result);
      assert.equal(error.code, "UserDataInvalid", what);
    }
  });

  test("refuses a repository whose URL holds credentials, without repeating them", async () => {
    const { env } = await startMetadataServer({
      instanceId: WORKER,
      userData: userData({ repo: "s3://AKIAXXXX:secret@bucket/prefix" }),
    });
    const result = await startAgent(["serve", "--once", "--json"], env).result;
    assert.equal(failure(2, result).code, "Usage");
    assert.doesNotMatch(result.stdout + result.stderr, /AKIAXXXX|secret@/);
  });
});

describe("the instance metadata service", () => {
  /** Sets the environment of this process for one call. */
  async function at<T>(env: NodeJS.ProcessEnv, call: () => Promise<T>): Promise<T> {
    Object.assign(process.env, env);
    try {
      return await call();
    } finally {
      delete process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT;
    }
  }

  test("is asked again when it is throttled, fails for a moment, or lets a token expire", async () => {
    const document = {
      ...{ repo: join("/", "repo"), region: "eu-central-1", forcePathStyle: true },
      bucketOwner: "111122223333",
    };
    const userDataText = userData(document);
    for (const status of [429, 500, 503, 401]) {
      const { env } = await startMetadataServer({
        ...{ instanceId: `${WORKER}\n`, userData: userDataText },
        failWith: (request) => (request < 2 ? status : undefined),
      });
      assert.equal(await at(env, instanceId), WORKER);
      const { env: again } = await startMetadataServer({ instanceId: WORKER, userData: userDataText });
      const said = await at(again, repositoryFromUserData);
      assert.deepEqual(said, document);
    }
  });

  test("that is switched off, or missing, or returns no instance id, is an error with a remedy", async () => {
    const off = await startMetadataServer({ instanceId: WORKER, userData: undefined, failWith: () => 403 });
    const unavailable = { code: "MetadataUnavailable", remedy: /--worker-id/ };
    await assert.rejects(at(off.env, instanceId), unavailable);
    assert.equal(off.requests.length, 1);
    const strange = await startMetadataServer({ instanceId: "<html>", userData: undefined });
    await assert.rejects(at(strange.env, instanceId), unavailable);
    const absent = await startMetadataServer({ instanceId: undefined, userData: undefined });
    await assert.rejects(at(absent.env, instanceId), unavailable);
    const nobody = { AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:9" };
    await assert.rejects(at(nobody, instanceId), unavailable);
  });
});
