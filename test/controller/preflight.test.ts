import assert from "node:assert/strict";
import { CreateRoleCommand, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { DisableKeyCommand, EnableKeyCommand } from "@aws-sdk/client-kms";
import { launch } from "../lab/instances.js";
import { populate, REPOSITORY, startLab } from "../lab/lab.js";
import { attach, createVolume } from "../lab/volume-steps.js";
import { controller } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { failure } from "../support/repositories.js";
import { rootTest } from "../support/root-test.js";

const lab = await startLab();
const population = await populate(lab);
const { customerKey, defaultKey, workerId, sourceWorkerId } = population;
const ACCESS = ["--repo", REPOSITORY, "--source-profile", "source"];

const instance = ({ instanceId }: { instanceId: string }) => ["--instance", instanceId];

async function check(...args: string[]) {
  const { stdout } = await controller(["check", ...ACCESS, ...args, "--json"], lab.env);
  return JSON.parse(stdout);
}

rootTest("a backup that would work is shown with its route, steps, permissions and costs", async () => {
  const found = await check(...instance(customerKey), "--worker", workerId);
  assert.equal(found.ok, true);
  assert.equal(found.route, "cross-account");
  assert.deepEqual(
    found.steps.map(({ name }: { name: string }) => name),
    ["create-snapshots", "share-snapshots", "create-volumes", "attach-volumes", "run-job"],
  );
  assert.ok(found.permissions.source.includes("ec2:CreateSnapshots"));
  assert.ok(found.permissions.worker.includes("kms:CreateGrant"));
  assert.equal(found.temporary.length, 2);
  // Two volumes of 1 GiB: 2 x (0.05 + 0.08) USD a month.
  assert.equal(found.estimatedCost.usdPerHour, 0.000361);
});

rootTest(
  "a volume that EC2 does not show yet is waited for, and never taken for an empty one",
  fullDepthOnly,
  async () => {
    const { control } = lab;
    const find = () =>
      controller(["check", ...ACCESS, ...instance(customerKey), "--worker", workerId, "--json"], {
        ...lab.env,
        BLOCKFERRY_VISIBLE_TIMEOUT_MS: "1500",
      });
    await control.addFault({ action: "DescribeVolumes", effect: "list-one" });
    const { ok, temporary } = JSON.parse((await find()).stdout);
    assert.deepEqual([ok, temporary.length], [true, 2]);
    await control.addFault({ action: "DescribeVolumes", effect: "list-nothing", times: 1000 });
    const { problems } = JSON.parse((await find()).stdout);
    await control.clearFaults();
    assert.equal(problems[0].code, "WaitTimedOut");
  },
);

rootTest("aws/ebs volumes across accounts are refused one by one, with the two ways out", async () => {
  const { ok, problems } = await check(...instance(defaultKey), "--worker", workerId);
  assert.equal(ok, false);
  const volumes = defaultKey.volumes.map(({ volumeId }) => volumeId);
  assert.deepEqual(new Set(problems.map(({ object }: { object: string }) => object)), new Set(volumes));
  for (const { code, remedy } of problems) {
    assert.equal(code, "SnapshotNotShareable");
    assert.match(remedy, /--worker-account source.*--bridge-key/s);
  }
});

rootTest("both ways out of the aws/ebs case are accepted", async () => {
  const bridged = await check(
    ...instance(defaultKey),
    "--worker",
    workerId,
    "--bridge-key",
    population.bridgeKey,
  );
  assert.deepEqual([bridged.ok, bridged.route], [true, "cross-account-bridge"]);
  const near = await check(...instance(defaultKey), "--worker", sourceWorkerId, "--worker-account", "source");
  assert.deepEqual([near.ok, near.route], [true, "same-account"]);
});

rootTest("a disabled key is named before anything is made", async () => {
  const KeyId = population.sharedKey;
  await lab.source.kms.send(new DisableKeyCommand({ KeyId }));
  const { ok, problems } = await check(...instance(customerKey), "--worker", workerId);
  await lab.source.kms.send(new EnableKeyCommand({ KeyId }));
  assert.equal(ok, false);
  assert.ok(
    problems.every(
      ({ code, object }: { code: string; object: string }) => code === "KeyNotUsable" && object === KeyId,
    ),
  );
});

rootTest("an action that is not allowed is found by a dry run, and named", async () => {
  const error = { code: "UnauthorizedOperation", message: "You are not authorized.", status: 403 };
  await lab.control.addFault({ action: "CreateVolume", dryRun: true, error });
  const { problems } = await check(...instance(customerKey), "--worker", workerId);
  await lab.control.clearFaults();
  assert.equal(problems[0].code, "AwsAccessDenied");
  assert.match(problems[0].remedy, /ec2:CreateVolume/);
});

rootTest("what else a dry run objects to is found, too", async () => {
  const error = { code: "InvalidParameterCombination", message: "Not like that.", status: 400 };
  await lab.control.addFault({ action: "CreateVolume", dryRun: true, error });
  const { problems } = await check(...instance(customerKey), "--worker", workerId);
  await lab.control.clearFaults();
  assert.deepEqual([problems.length, problems[0].code], [1, "AwsRefused"]);
  assert.match(problems[0].message, /ec2:CreateVolume .*Not like that/);
});

rootTest("dry runs ask for volumes as they will be, and for all that the steps look for", async () => {
  await lab.control.clearRequests();
  const kind = ["--volume-type", "gp3", "--iops", "5000", "--throughput", "300"];
  await check(...instance(customerKey), "--worker", workerId, ...kind);
  const dry = (await lab.control.requests()).filter(({ parameters }) => parameters.DryRun === "true");
  const { parameters } = dry.find(({ action }) => action === "CreateVolume") ?? {};
  const { Size, VolumeType, Iops, Throughput } = parameters ?? {};
  assert.deepEqual([Size, VolumeType, Iops, Throughput], ["1", "gp3", "5000", "300"]);
  assert.deepEqual(
    dry.map(({ account, action }) => [account === lab.source.accountId ? "source" : "worker", action]),
    [
      ["source", "CreateSnapshots"],
      ["worker", "CreateVolume"],
      ["source", "DescribeSnapshots"],
      ["worker", "DescribeVolumes"],
      ["worker", "DescribeInstances"],
    ],
  );
});

rootTest("a worker that does not exist is refused", async () => {
  const many = ["--worker", "i-00000000000000000"];
  const { problems } = await check(...instance(customerKey), ...many);
  assert.equal(problems[0].code, "WorkerNotUsable");
  assert.equal(problems[0].object, "i-00000000000000000");
});

rootTest(
  "a worker is taken that has just room enough, and refused with one volume more on it",
  fullDepthOnly,
  async () => {
    // 28 slots, minus one for a network interface and 24 for instance stores: 3, one of which its root takes.
    const { InstanceId = "" } = await launch(lab.worker, {
      ...{ ImageId: "ami-0123456789abcdef1", InstanceType: "d3en.12xlarge" },
    });
    assert.equal(customerKey.volumes.length, 2);
    assert.equal((await check(...instance(customerKey), "--worker", InstanceId)).ok, true);
    await attach(lab.worker, await createVolume(lab.worker, { Size: 1 }), InstanceId, "/dev/sdf");
    const { problems } = await check(...instance(customerKey), "--worker", InstanceId);
    assert.deepEqual(
      problems.map(({ code, object }: { code: string; object: string }) => [code, object]),
      [["WorkerNotUsable", InstanceId]],
    );
    assert.match(problems[0].message, /2 volumes are to be attached, .* has room for 1 more/);
    // EC2 has the same limit:
    await attach(lab.worker, await createVolume(lab.worker, { Size: 1 }), InstanceId, "/dev/sdg");
    const third = await createVolume(lab.worker, { Size: 1 });
    await assert.rejects(attach(lab.worker, third, InstanceId, "/dev/sdh"), {
      name: "AttachmentLimitExceeded",
    });
  },
);

rootTest("an instance that is not there, and a volume that is not its own, are named", async () => {
  const missing = await check("--instance", "i-00000000000000000", "--worker", workerId);
  assert.equal(missing.problems[0].code, "InstanceNotFound");
  const other = await check(
    ...instance(customerKey),
    "--worker",
    workerId,
    "--exclude-volume",
    "vol-0000000000000000a",
  );
  assert.match(other.problems[0].message, /vol-0000000000000000a is not a volume/);
});

for (const party of ["source", "worker"] as const) {
  rootTest(
    `a role of the ${party} that asks for an external id is had with that alone`,
    fullDepthOnly,
    async () => {
      const role = await roleWithExternalId(party, "backups-7f3a");
      const options = [...instance(customerKey), "--worker", workerId, `--${party}-role`, role];
      const access = party === "source" ? [] : ["--source-profile", "source"];
      const run = async (...externalId: string[]) => {
        const args = ["check", "--repo", REPOSITORY, ...access, ...options, ...externalId, "--json"];
        return controller(args, lab.env);
      };
      for (const wrong of [[], [`--${party}-external-id`, "backups-0000"]]) {
        const { code, message, remedy, object } = failure(1, await run(...wrong));
        assert.deepEqual([code, object], ["AwsAccessDenied", role]);
        assert.match(message, /^sts:AssumeRole on /);
        assert.match(remedy, new RegExp(`external id.*--${party}-external-id`));
      }
      const { code, stdout } = await run(`--${party}-external-id`, "backups-7f3a");
      assert.equal(code, 0, stdout);
      assert.equal(JSON.parse(stdout)[party].principalArn, role);
    },
  );
}

rootTest("a backup whose preflight fails makes nothing, and no job", async () => {
  const before = await lab.control.resources();
  const args = ["backup", ...ACCESS, ...instance(defaultKey), "--worker", workerId, "--json"];
  assert.equal(failure(1, await controller(args, lab.env)).code, "PreflightFailed");
  assert.deepEqual(await lab.control.resources(), before);
  const { stdout } = await controller(["status", "--repo", REPOSITORY, "--json"], lab.env);
  assert.deepEqual(JSON.parse(stdout), { jobs: [], problems: [] });
});

/** Makes a role in a party's account that may do everything. @returns its ARN */
async function roleWithExternalId(party: "source" | "worker", externalId: string): Promise<string> {
  const RoleName = `asks-for-an-external-id-${party}`;
  const policy = (statement: object) =>
    JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...statement }] });
  const trust = {
    ...{ Action: "sts:AssumeRole", Principal: { AWS: `arn:aws:iam::${lab.worker.accountId}:root` } },
    Condition: { StringEquals: { "sts:ExternalId": externalId } },
  };
  const { Role } = await lab[party].iam.send(
    new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: policy(trust) }),
  );
  const PolicyDocument = policy({ Action: "*", Resource: "*" });
  await lab[party].iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "all", PolicyDocument }));
  return Role?.Arn ?? "";
}
