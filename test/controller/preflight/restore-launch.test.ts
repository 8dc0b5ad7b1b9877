import assert from "node:assert/strict";
import { test } from "node:test";
import type { Image } from "@aws-sdk/client-ec2";
import type { Party } from "../../../controller/aws/party.js";
import type { RestoreRequest } from "../../../controller/plan/request.js";
import { PreflightFindings } from "../../../controller/preflight/dry-runs.js";
import { restoredInstance, restoredVolumes } from "../../../controller/preflight/restored-instance.js";
import { INSTANCE, jobVolume } from "../../support/jobs.js";
import { pointOf } from "../../support/machines.js";

const ACCOUNT = INSTANCE.accountId;
const PROFILE = "arn:aws:iam::111111111111:instance-profile/admin";
const { name, sizeBytes, origin } = jobVolume(0, 4096);
const POINT = pointOf(
  "77777777-7777-4777-8777-777777777777",
  {
    instance: { ...INSTANCE, instanceProfileArn: PROFILE, keyName: "mallory" },
    volumes: [{ name, source: "/dev/x", sizeBytes, root: "00".repeat(32), badRanges: [], ebs: origin }],
  },
  60,
);

type Chosen = Partial<NonNullable<RestoreRequest["launch"]>>;

/** Returns a party with answers of EC2. The launch depends only on the answers and the request. */
function partyWith(image: Partial<Image>): Party {
  const answers: Record<string, object> = {
    DescribeImagesCommand: { Images: [{ ImageId: INSTANCE.imageId, Architecture: "x86_64", ...image }] },
  };
  const answer = async (command: object) => answers[command.constructor.name] ?? {};
  return { accountId: ACCOUNT, ec2: answer } as unknown as Party;
}

async function launch(chosen: Chosen, image: Partial<Image> = { OwnerId: ACCOUNT }) {
  const findings = new PreflightFindings();
  const nothing = { imageId: null, instanceType: null, subnetId: null, securityGroupIds: null };
  const request = {
    launch: { ...nothing, profile: null, keyName: null, tags: {}, ...chosen },
  } as RestoreRequest;
  const volumes = restoredVolumes(POINT, []);
  return { launch: await restoredInstance(request, POINT, volumes, partyWith(image), findings), findings };
}

test("a point does not give the restored instance a profile, a key pair or security groups", async () => {
  const { launch: made, findings } = await launch({});
  assert.deepEqual([made.profile, made.keyName, made.securityGroupIds], [null, null, []]);
  assert.deepEqual(findings.problems, []);
  for (const said of [PROFILE, "mallory", "sg-0123456789abcdef0"]) {
    assert.ok(
      findings.notes.some((note) => note.includes(said)),
      `${said} in ${findings.notes}`,
    );
  }
});

test("a launch uses the recorded properties that the user asks for", async () => {
  const { launch: made, findings } = await launch({
    ...{ profile: "original", keyName: "original", securityGroupIds: ["sg-1", "original"] },
  });
  assert.deepEqual([made.profile, made.keyName], [PROFILE, "mallory"]);
  assert.deepEqual(made.securityGroupIds, ["sg-1", ...INSTANCE.securityGroupIds]);
  assert.deepEqual(findings.notes, []);
});

test("a launch uses the properties that the user names, and `none` means none", async () => {
  const named = await launch({ profile: "web", keyName: "ops", securityGroupIds: ["sg-1"] });
  const { profile, keyName, securityGroupIds } = named.launch;
  assert.deepEqual([profile, keyName, securityGroupIds], ["web", "ops", ["sg-1"]]);
  const none = await launch({ profile: "none", keyName: "none" });
  assert.deepEqual([none.launch.profile, none.launch.keyName], [null, null]);
});

test("an image of the point is launched where this account or Amazon owns it, and another one is refused", async () => {
  for (const image of [{ OwnerId: ACCOUNT }, { OwnerId: "137112412989", ImageOwnerAlias: "amazon" }]) {
    const { launch: made, findings } = await launch({}, image);
    assert.deepEqual([made.imageId, findings.problems], [INSTANCE.imageId, []]);
  }
  const foreign = [
    { OwnerId: "666666666666", Name: "amzn2-ami" },
    { OwnerId: "666666666666", ImageOwnerAlias: "aws-marketplace" },
    {},
  ];
  for (const image of foreign) {
    const { findings } = await launch({}, image);
    assert.deepEqual(
      findings.problems.map(({ code }) => code),
      ["Usage"],
    );
    assert.match(findings.problems[0]?.remedy ?? "", /--ami original/);
    assert.deepEqual((await launch({ imageId: "original" }, image)).findings.problems, []);
    assert.deepEqual((await launch({ imageId: INSTANCE.imageId }, image)).findings.problems, []);
  }
});
