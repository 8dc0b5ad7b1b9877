import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode } from "../../../foundation/errors.js";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { type OwnAnswer, startFaultProxy, xmlError } from "../../support/fault-proxy.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { failure } from "../../support/repositories.js";
import { S3Objects } from "../../support/s3-objects.js";
import { BUCKET, S3_ENVIRONMENT, startS3Server } from "../../support/s3-server.js";
import { tempFolder } from "../../support/temp-folder.js";

const SESSION_TOKEN = "session/token/that/must/never/be/shown";
const SECRETS = [S3_ENVIRONMENT.AWS_SECRET_ACCESS_KEY, S3_ENVIRONMENT.AWS_ACCESS_KEY_ID, SESSION_TOKEN];

/** Answers of S3 that a retry does not change. */
const PERMANENT: { answer: OwnAnswer; code: ErrorCode; remedy: RegExp }[] = [
  { answer: xmlError(403, "AccessDenied"), code: "StorageDenied", remedy: /s3:PutObject/ },
  { answer: xmlError(404, "NoSuchBucket"), code: "BucketNotFound", remedy: /bucket's name/ },
  {
    answer: { ...xmlError(301, "PermanentRedirect"), headers: { "x-amz-bucket-region": "eu-north-1" } },
    code: "WrongRegion",
    remedy: /--region/,
  },
  { answer: xmlError(400, "ExpiredToken"), code: "CredentialsInvalid", remedy: /expired/ },
  { answer: xmlError(403, "InvalidAccessKeyId"), code: "CredentialsInvalid", remedy: /AWS_ACCESS_KEY_ID/ },
  { answer: xmlError(403, "SignatureDoesNotMatch"), code: "CredentialsInvalid", remedy: /secret key/ },
  { answer: xmlError(403, "RequestTimeTooSkewed"), code: "CredentialsInvalid", remedy: /clock/ },
  { answer: xmlError(501, "NotImplemented"), code: "StorageFailed", remedy: /If-None-Match/ },
];

test("a permanent error fails at once, with a remedy, and shows no credential", fullDepthOnly, async () => {
  const server = await startS3Server("moto");
  const proxy = await startFaultProxy(server.endpointUrl);
  for (const { answer, code, remedy } of PERMANENT) {
    proxy.requests.length = 0;
    proxy.chooseFault = () => answer;
    const env = { AWS_ENDPOINT_URL: proxy.endpointUrl, AWS_SESSION_TOKEN: SESSION_TOKEN };
    const args = ["init", "--repo", `s3://${BUCKET}/errors`, "--json", "--verbose"];
    const result = await startAgent(args, env).result;
    const error = failure(1, result);
    assert.equal(error.code, code, error.message);
    assert.match(error.remedy, remedy);
    assert.ok(proxy.requests.length <= 2, `${code}: ${proxy.requests.length} requests`);
    for (const secret of [...SECRETS, "Signature="]) {
      assert.ok(!(result.stdout + result.stderr).includes(secret), `${code} shows ${secret}`);
    }
  }
});

test("credentials that expire during a verification make nothing damaged", fullDepthOnly, async () => {
  const server = await startS3Server("moto");
  const proxy = await startFaultProxy(server.endpointUrl);
  const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  await writeRandomFile(image, 3_000_000, SeededRandom.fresh());
  const at = ["--repo", `s3://${BUCKET}/expiring`, "--json"];
  for (const args of [
    ["init", ...at],
    ["backup", ...at, "--device", image],
  ]) {
    const { code, stdout } = await startAgent(args, env).result;
    assert.equal(code, 0, stdout);
  }
  for (const place of ["packs", "points", "index"]) {
    proxy.chooseFault = ({ method, url }) =>
      method === "GET" && url.includes(`/${place}/`) ? xmlError(400, "ExpiredToken") : undefined;
    const result = await startAgent(["verify", ...at, "--read-data"], env).result;
    assert.equal(failure(1, result).code, "CredentialsInvalid", place);
  }
});

test(
  "a server that ignores If-None-Match gets no repository, and nothing stays there",
  fullDepthOnly,
  async () => {
    const server = await startS3Server("moto");
    const proxy = await startFaultProxy(server.endpointUrl);
    proxy.changeRequest = ({ headers }) => {
      delete headers["if-none-match"];
    };
    const repo = `s3://${BUCKET}/ignorant`;
    const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
    const error = failure(1, await startAgent(["init", "--repo", repo, "--json"], env).result);
    assert.equal(error.code, "ConditionalWritesUnsupported");
    proxy.changeRequest = () => undefined;
    const again = await startAgent(["init", "--repo", repo, "--json"], env).result;
    assert.equal(again.code, 0, again.stdout);
  },
);

test(
  "a server that comes to ignore If-None-Match does not lose a repository to a second init",
  fullDepthOnly,
  async () => {
    const server = await startS3Server("moto");
    const proxy = await startFaultProxy(server.endpointUrl);
    const objects = new S3Objects(server.endpointUrl);
    const init = ["init", "--repo", `s3://${BUCKET}/moved`, "--json"];
    const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
    const made = await startAgent(init, env).result;
    assert.equal(made.code, 0, made.stdout);
    const config = await objects.get("moved/config.json");
    proxy.changeRequest = ({ headers }) => {
      delete headers["if-none-match"];
    };
    assert.equal(failure(1, await startAgent(init, env).result).code, "RepositoryExists");
    assert.deepEqual(await objects.keys("moved/"), ["moved/config.json"]);
    assert.ok((await objects.get("moved/config.json")).equals(config));
  },
);
