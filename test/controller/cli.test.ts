import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Journal } from "../../controller/run/journal.js";
import { journalKey } from "../../repository/jobs/job-key.js";
import { openRepository } from "../../repository/open/repository.js";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { controller } from "../support/controller.js";
import { failure, newRepository } from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";
import { planOf, restorePlanOf, unsignedIn } from "./plans.js";

const JOB = "job-20261124T120000Z-0123abcd";
const COMMANDS = ["backup", "check", "status", "cancel", "resume", "cleanup", "points", "show", "iam-policy"];
const INSTANCE = ["--instance", "i-0a1b2c3d4e5f60718"];
const WORKER = ["--worker", "i-0f1e2d3c4b5a69788"];
const KEY = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111";
const ROLE = "arn:aws:iam::111111111111:role/blockferry";

describe("help", () => {
  test("of the program names every command, the exit codes and the environment", async () => {
    const { code, stdout } = await controller(["--help"]);
    assert.equal(code, 0);
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`blockferry ${command}\\b`));
    assert.match(stdout, /Exit codes:.*130/);
    assert.match(stdout, /BLOCKFERRY_REPO/);
  });

  for (const command of COMMANDS) {
    test(`of ${command} has its options and examples`, async () => {
      const { code, stdout } = await controller([command, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, /--repo/);
      assert.match(stdout, /--json/);
      assert.match(stdout, new RegExp(`Examples:\\s+blockferry ${command} .*--repo`, "s"));
    });
  }
});

describe("wrong usage", async () => {
  const repo = await newRepository(await tempFolder());
  const wrong: [string, string[], RegExp][] = [
    ["no command", [], /Name a command/],
    ["an unknown command", ["frobnicate"], /Unknown argument/],
    ["a restore of no point", ["restore", ...WORKER], /point/],
    [
      "an image for restored volumes",
      ["restore", "--point", "latest", ...WORKER, "--ami", "ami-0123"],
      /--ami goes with --to instance/,
    ],
    [
      "an instance to attach a snapshot to",
      ["restore", "--point", "latest", ...WORKER, "--to", "snapshot", "--attach-to", "i-0123456789abcdef0"],
      /--attach-to goes with --to volumes/,
    ],
    ["an unknown option", ["backup", ...INSTANCE, ...WORKER, "--fast"], /fast/],
    ["no instance", ["backup", ...WORKER], /instance/],
    ["an instance that is none", ["backup", "--instance", "web-1", ...WORKER], /instance id/],
    ["no worker", ["backup", ...INSTANCE], /No worker is named/],
    ["half a launch", ["check", ...INSTANCE, "--worker-ami", "ami-0123"], /No worker is named/],
    ["a worker and a launch", ["check", ...INSTANCE, ...WORKER, "--worker-ami", "ami-0123"], /launching one/],
    [
      "a launched worker for a local directory",
      [
        ...["check", ...INSTANCE, "--worker-ami", "ami-0123", "--worker-subnet", "subnet-0123"],
        ...["--worker-type", "m5.large", "--worker-profile", "blockferry-agent"],
      ],
      /directory on this machine/,
    ],
    [
      "an external id without a role",
      ["check", ...INSTANCE, ...WORKER, "--source-external-id", "x"],
      /--source-role/,
    ],
    [
      "a role that is none",
      ["check", ...INSTANCE, ...WORKER, "--worker-role", "blockferry"],
      /not the ARN of a role/,
    ],
    [
      "a worker role in the source account",
      ["check", ...INSTANCE, ...WORKER, "--worker-account", "source", "--worker-role", ROLE],
      /the worker is in the instance's account/,
    ],
    [
      "a key that is none",
      ["check", ...INSTANCE, ...WORKER, "--bridge-key", "alias/x"],
      /not the ARN of a KMS key/,
    ],
    [
      "an alias to sign with, which could point to another key later",
      ["check", ...INSTANCE, ...WORKER, "--job-key", "arn:aws:kms:us-east-1:111111111111:alias/jobs"],
      /--job-key .*not the ARN of a KMS key itself/,
    ],
    [
      "an alias to open the repository with, which could point to another key later",
      [
        "iam-policy",
        "--for",
        "agent",
        ...INSTANCE,
        ...WORKER,
        "--repository-key",
        KEY.replace("key/", "alias/"),
      ],
      /--repository-key .*not the ARN of a KMS key itself/,
    ],
    [
      "a wildcard for the keys of the repository",
      ["iam-policy", "--for", "agent", ...INSTANCE, ...WORKER, "--repository-key", "*"],
      /--repository-key \* is not the ARN/,
    ],
    [
      "an alias for the key of tombstones",
      [
        ...["iam-policy", "--for", "verify", ...INSTANCE, ...WORKER],
        ...["--tombstone-key", "arn:aws:kms:us-east-1:111111111111:alias/tombstones"],
      ],
      /--tombstone-key .*not the ARN of a KMS key itself/,
    ],
    [
      "an owner of the bucket of a local directory",
      ["check", ...INSTANCE, ...WORKER, "--bucket-owner", "111122223333"],
      /--bucket-owner is for repositories in S3/,
    ],
    [
      "a key with a wildcard for its id",
      ["check", ...INSTANCE, ...WORKER, "--bridge-key", "arn:aws:kms:us-east-1:111111111111:key/*"],
      /not the ARN of a KMS key/,
    ],
    [
      "two keys to sign with",
      ["restore", "--point", "latest", ...WORKER, "--job-key", KEY, "--job-key", KEY],
      /--job-key is given 2 times/,
    ],
    [
      "too slow an initialization",
      ["check", ...INSTANCE, ...WORKER, "--initialization-rate", "50"],
      /100 to 300/,
    ],
    ["a volume type that is none", ["check", ...INSTANCE, ...WORKER, "--volume-type", "gp4"], /gp3.*io2/],
    [
      "throughput that gp2 does not take",
      ["check", ...INSTANCE, ...WORKER, "--volume-type", "gp2", "--throughput", "250"],
      /does not apply to volumes of type gp2/,
    ],
    ["a tag without a value", ["check", ...INSTANCE, ...WORKER, "--tag", "prod"], /KEY=VALUE/],
    ["a duration that is none", ["cleanup", "--older-than", "yesterday"], /not a duration/],
    ["a party that is none", ["iam-policy", "--for", "everybody", ...INSTANCE, ...WORKER], /for/],
  ];
  for (const [what, args, message] of wrong) {
    test(`with ${what} exits with 2 and says so`, async () => {
      const repoArgs = args.length === 0 ? [] : ["--repo", repo];
      const error = failure(2, await controller([...args, ...repoArgs, "--json"]));
      assert.equal(error.code, "Usage");
      assert.match(error.message, message);
    });
  }
});

describe("a report", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeFile(image, "precious");
  for (const args of [
    ["backup", ...INSTANCE, ...WORKER],
    ["check", ...INSTANCE, ...WORKER],
  ]) {
    test(`that ${args[0]} could not write is refused before anything is made, and a disk image stays`, async () => {
      const paths = ["--repo", repo, "--report", image];
      const { code, object } = failure(1, await controller([...args, ...paths, "--json"]));
      assert.deepEqual([code, object], ["ReportNotWritable", image]);
      assert.equal(await readFile(image, "utf8"), "precious");
    });
  }

  for (const [what, plan] of [
    ["a backup that was started without --report", planOf({ jobId: JOB })],
    ["a restore", restorePlanOf(JOB)],
  ] as const) {
    test(`of ${what} is refused before the job continues`, async () => {
      const known = await newRepository(await tempFolder());
      const { config, storage } = await openRepository(known);
      const its = { ...plan, repositoryId: config.id };
      await Journal.create(storage, its, ["run-job"], unsignedIn(config));
      const args = ["resume", JOB, "--repo", known, "--report", join(folder, "page.html"), "--json"];
      const { code, message } = failure(2, await controller(args));
      assert.equal(code, "Usage");
      assert.ok(message.includes(what), message);
    });
  }
});

describe("without a Region", async () => {
  const repo = await newRepository(await tempFolder());

  for (const [what, AWS_REGION] of [
    ["no", undefined],
    ["an empty", ""],
  ]) {
    test(`a backup with ${what} AWS_REGION names the places where it looked for one, and the remedy`, async () => {
      const folder = await tempFolder();
      const none = { AWS_REGION, AWS_DEFAULT_REGION: undefined, AWS_PROFILE: undefined };
      const files = {
        AWS_CONFIG_FILE: join(folder, "config"),
        AWS_SHARED_CREDENTIALS_FILE: join(folder, "credentials"),
      };
      const args = ["check", ...INSTANCE, ...WORKER, "--repo", repo, "--source-profile", "fleet", "--json"];
      const { code, message, remedy } = failure(2, await controller(args, { ...none, ...files }));
      assert.equal(code, "Usage");
      assert.match(message, /No Region .*instance.*--source-region.*AWS_REGION.*profile fleet/);
      assert.match(remedy, /--source-region eu-central-1.*AWS_REGION/);
    });
  }
});

describe("jobs of a repository", async () => {
  const repo = await newRepository(await tempFolder());

  test("are an empty list in a new one", async () => {
    const { code, stdout } = await controller(["status", "--repo", repo]);
    assert.deepEqual([code, stdout], [0, "No job yet.\n"]);
    const cleanup = await controller(["cleanup", "--repo", repo, "--json"]);
    assert.deepEqual(JSON.parse(cleanup.stdout), { cleaned: [], left: [], problems: [], removed: [] });
  });

  for (const command of [["status"], ["cleanup"], ["cleanup", "--dry-run"]]) {
    test(`are listed by ${command.join(" ")} although the journal of one is damaged, which is named`, async () => {
      const job = "job-20261123T112150Z-00000000";
      const damaged = await newRepository(await tempFolder());
      const storage = await openStorage(parseStorageLocation(damaged));
      await storage.put(journalKey(job, 1), Buffer.from("{}"));
      const { code, stdout } = await controller([...command, "--repo", damaged, "--json"]);
      const [problem] = JSON.parse(stdout).problems;
      assert.deepEqual([code, problem.code, problem.object], [3, "ObjectCorrupt", journalKey(job, 1)]);
      assert.ok(problem.remedy.includes(`blockferry:job=${job}`), problem.remedy);
    });
  }

  for (const [command, args] of [
    ["status JOB", ["status", JOB]],
    ["status", ["status"]],
    ["cleanup --dry-run", ["cleanup", "--dry-run"]],
    ["cleanup", ["cleanup"]],
    ["cancel JOB", ["cancel", JOB]],
  ] as const) {
    test(`are printed by ${command} with the fields of its schema`, async () => {
      const known = await newRepository(await tempFolder());
      const { config, storage } = await openRepository(known);
      const plan = planOf({ jobId: JOB, repositoryId: config.id });
      await Journal.create(storage, plan, ["run-job"], unsignedIn(config));
      const { code, stdout } = await controller([...args, "--repo", known, "--json"]);
      assert.equal(code, 0, stdout);
    });
  }

  for (const command of ["status", "cancel", "resume"]) {
    test(`that ${command} does not find are named`, async () => {
      const job = "job-20261123T112150Z-3f9a1c2b";
      const error = failure(1, await controller([command, job, "--repo", repo, "--json"]));
      assert.deepEqual([error.code, error.object], ["JobNotFound", job]);
    });
  }
});
