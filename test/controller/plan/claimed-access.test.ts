import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Access } from "../../../controller/aws/clients.js";
import type { JournalRecord } from "../../../controller/run/read-journals.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { journalKey } from "../../../repository/jobs/job-key.js";
import { initRepository, openRepository } from "../../../repository/open/repository.js";
import { controller } from "../../support/controller.js";
import { failure } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { planOf } from "../plans.js";

const JOB = "job-20261101T120000Z-0123abcd";
const EVIL_ROLE = "arn:aws:iam::999999999999:role/evil";
const OWN_ACCOUNT = "123456789012";
const OWN_ROLE = `arn:aws:iam::${OWN_ACCOUNT}:role/blockferry`;
const NONE: Access = { profile: null, roleArn: null, externalId: null, region: null };

/** Starts an STS server that answers the identity of the caller, and records all requests. */
async function startSts() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += part.toString();
    });
    request.on("end", () => {
      asked.push(`${request.headers.authorization ?? ""} ${decodeURIComponent(body)}`);
      response.setHeader("content-type", "text/xml");
      response.end(answerTo(body));
    });
  }).listen(0, "127.0.0.1");
  after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { asked, url };
}

function answerTo(body: string): string {
  if (!body.includes("Action=GetCallerIdentity")) {
    return `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>y</SecretAccessKey><SessionToken>z</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;
  }
  return `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>${OWN_ROLE.replace(":iam:", ":sts:").replace("role/", "assumed-role/")}/me</Arn><UserId>x</UserId><Account>${OWN_ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`;
}

const { asked, url } = await startSts();

/** Writes a journal that any writer to the repository can write. */
async function plant(source: Partial<Access>, worker: Partial<Access>, more: object = {}): Promise<string> {
  const repo = join(await tempFolder(), "repo");
  const { config, storage } = await initRepository(repo);
  const plan = planOf(
    { jobId: JOB, repositoryId: config.id },
    { source: { ...NONE, ...source }, worker: { ...NONE, ...worker }, ...more },
  );
  const step = { name: "create-snapshots", state: "done" as const, startedAt: null, finishedAt: null };
  const record: JournalRecord = {
    ...{ version: 1, job: JOB, owner: "deadbeef-1-1", updatedAt: "2026-11-01T12:00:00.000Z" },
    ...{ state: "running", outcome: null, plan, made: {}, steps: [step] },
  };
  await storage.put(journalKey(JOB, 1), sealJson(record));
  return repo;
}

/** Returns an environment with credentials, and with a profile that a journal may name. */
async function environment() {
  const folder = await tempFolder();
  const credentials = join(folder, "credentials");
  await writeFile(credentials, "[prod-admin]\naws_access_key_id = PRODADMIN\naws_secret_access_key = y\n");
  asked.length = 0;
  return {
    ...{ AWS_ACCESS_KEY_ID: "ENVIRONMENT", AWS_SECRET_ACCESS_KEY: "y", AWS_REGION: "us-east-1" },
    ...{ AWS_ENDPOINT_URL: url, AWS_SHARED_CREDENTIALS_FILE: credentials, AWS_PROFILE: undefined },
  };
}

const CLAIMS = [
  ["a role of the source", { roleArn: EVIL_ROLE, externalId: "victims" }, {}],
  ["a role of the worker", {}, { roleArn: EVIL_ROLE, externalId: "victims" }],
  ["a profile of the source", { profile: "prod-admin" }, {}],
  ["a profile of the worker", {}, { profile: "prod-admin" }],
  ["a role by a profile", { profile: "prod-admin", roleArn: EVIL_ROLE }, { profile: "prod-admin" }],
] as const;

const ACTS = { resume: ["resume", JOB], cleanup: ["cleanup", "--older-than", "0s"] };
const LOOKS = {
  "cleanup --dry-run": ["cleanup", "--older-than", "0s", "--dry-run"],
  status: ["status", JOB],
  "status of all": ["status"],
  cancel: ["cancel", JOB],
};

describe("access that a journal names", () => {
  for (const [what, source, worker] of CLAIMS) {
    const looks = what === "a role by a profile" ? LOOKS : {};
    for (const [name, args] of Object.entries({ ...ACTS, ...looks })) {
      test(`is not used: ${what}, by ${name}`, async () => {
        const repo = await plant(source, worker);
        const { stdout } = await controller([...args, "--repo", repo, "--json"], await environment());
        assert.notEqual(stdout, "");
        for (const call of asked) {
          assert.match(call, /ENVIRONMENT.*Action=GetCallerIdentity/, "only the environment's credentials");
        }
      });
    }
  }

  test("is shown as a claim, with the options that it would be given by and the accounts compared", async () => {
    const repo = await plant({ roleArn: EVIL_ROLE, externalId: "it's" }, {});
    const result = await controller(["resume", JOB, "--repo", repo, "--json"], await environment());
    const { code, message, remedy } = failure(1, result);
    assert.equal(code, "CredentialsInvalid");
    assert.match(message, /has its source in account 111111111111, reached by .*evil.*assumed-role|role/);
    assert.ok(remedy.includes(`--source-role ${EVIL_ROLE} --source-external-id 'it'\\''s'`), remedy);
    assert.match(remedy, /claims.*only if it is yours.*to account 999999999999, not 111111111111/);
  });

  test("is refused if another role is given, and that role is not assumed either", async () => {
    const repo = await plant({ roleArn: "arn:aws:iam::111111111111:role/theirs" }, {});
    const given = ["--source-role", "arn:aws:iam::111111111111:role/mine", "--source-external-id", "secret"];
    for (const args of [ACTS.resume, ACTS.cleanup]) {
      const { stdout, code } = await controller(
        [...args, ...given, "--repo", repo, "--json"],
        await environment(),
      );
      assert.equal(code, 1);
      assert.match(stdout, /CredentialsInvalid.*--source-role arn:aws:iam::111111111111:role\/theirs/);
      assert.deepEqual(asked, []);
    }
  });

  test("does not keep a role from being refused that is of another account than the journal's", async () => {
    const repo = await plant({}, {});
    const args = [...ACTS.resume, "--source-role", OWN_ROLE, "--repo", repo, "--json"];
    const { code, message } = failure(1, await controller(args, await environment()));
    assert.equal(code, "CredentialsInvalid");
    assert.ok(message.includes(`${OWN_ROLE} is given`), message);
    assert.deepEqual(asked, []);
  });

  for (const [what, place] of [
    ["a Region that would be another host", { region: "x.evil.example/" }],
    ["an account that is none", { accountId: "*" }],
  ] as const) {
    test(`is not read where it has ${what}`, async () => {
      const repo = await plant({}, {});
      const { storage } = await openRepository(repo);
      const { body } = JSON.parse((await storage.get(journalKey(JOB, 1))).toString());
      Object.assign(body.plan.source, place);
      await storage.put(journalKey(JOB, 1), sealJson(body));
      const { code } = failure(
        1,
        await controller(["resume", JOB, "--repo", repo, "--json"], await environment()),
      );
      assert.equal(code, "RepositoryUnsupported");
      assert.deepEqual(asked, []);
    });
  }
});
