import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withoutResponse, withoutSecrets } from "../../foundation/errors.js";
import { startAgent } from "../support/agent.js";
import { tempFolder } from "../support/temp-folder.js";

const KEY_ID = "AKIAIOSFODNN7EXAMPLE";

test("messages of the SDK lose key ids, tokens, signatures and commands, and keep the rest", () => {
  const url = `https://b.s3.amazonaws.com/k?X-Amz-Credential=${KEY_ID}%2F20260101&X-Amz-Security-Token=to%2Bken&X-Amz-Signature=0a1b&X-Amz-Date=1`;
  assert.equal(
    withoutSecrets(`GET ${url} failed`),
    "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=[removed]&X-Amz-Security-Token=[removed]&X-Amz-Signature=[removed]&X-Amz-Date=1 failed",
  );
  assert.equal(
    withoutSecrets("should have been 'POST\nx-amz-security-token:abc//+=\nhost'"),
    "should have been 'POST\nx-amz-security-token:[removed]\nhost'",
  );
  assert.equal(
    withoutSecrets(`AWS4-HMAC-SHA256 Credential=${KEY_ID}/20260101, SignedHeaders=host, Signature=0a1b`),
    "AWS4-HMAC-SHA256 Credential=[removed], SignedHeaders=host, Signature=[removed]",
  );
  assert.equal(
    withoutSecrets("the key ASIAIOSFODNN7EXAMPLE has expired"),
    "the key ASIA[removed] has expired",
  );
  assert.equal(withoutSecrets("Command failed: get --secret hunter2\nprinted"), "Command failed: [removed]");
  const plain = "User: arn:aws:sts::111122223333:assumed-role/backup/i-0abc is not authorized";
  assert.equal(withoutSecrets(plain), plain);
});

test("a copied error has its stack, and no secret in any of its fields", () => {
  const error = Object.assign(new Error("Command failed: get --secret hunter2"), {
    response: { key: KEY_ID },
  });
  const copy = withoutResponse(error);
  assert.match(copy.stack ?? "", /Command failed: \[removed\]\n +at /);
  assert.doesNotMatch(JSON.stringify(copy, Object.getOwnPropertyNames(copy)), /hunter2|AKIA/);
});

test("a credential_process that fails does not show its command", async () => {
  const config = join(await tempFolder(), "config");
  await writeFile(config, "[profile p]\ncredential_process = false --secret hunter2\n");
  const server = ["--region", "us-east-1", "--endpoint-url", "http://127.0.0.1:9", "--profile", "p"];
  const args = ["list", "--repo", "s3://bucket/prefix", ...server];
  const env = { AWS_CONFIG_FILE: config, AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" };
  for (const option of ["--json", "--verbose"]) {
    const { code, stdout, stderr } = await startAgent([...args, option], env).result;
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /Command failed: \[removed\]/);
    assert.doesNotMatch(stdout + stderr, /hunter2/);
  }
});
