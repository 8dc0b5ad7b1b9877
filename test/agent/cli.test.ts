import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { ErrorRecord } from "../../foundation/errors.js";
import { agent, agentJson, startAgent } from "../support/agent.js";
import { fullDepthOnly } from "../support/depth.js";
import { writeMixedImage } from "../support/images.js";
import { SeededRandom } from "../support/random.js";
import {
  agentFails,
  backUp,
  type ListOutput,
  newRepository,
  type VerifyOutput,
} from "../support/repositories.js";
import { tempFolder } from "../support/temp-folder.js";
import { agentOnTerminal } from "../support/terminal.js";

const MIB = 1024 * 1024;
const COMMANDS = ["init", "backup", "restore", "list", "show", "verify", "repair", "serve"];

describe("help", () => {
  test("of the program names every command, the exit codes and the environment", async () => {
    for (const args of [["--help"], ["-h"]]) {
      const { code, stdout } = await agent(...args);
      assert.equal(code, 0);
      for (const command of COMMANDS) assert.match(stdout, new RegExp(`blockferry-agent ${command}\\b`));
      assertNamesExitCodes(stdout);
      assert.match(stdout, /BLOCKFERRY_REPO/);
    }
  });

  for (const command of COMMANDS) {
    test(`of ${command} has its options, examples and the exit codes`, async () => {
      const { code, stdout } = await agent(command, "--help");
      assert.equal(code, 0);
      assert.match(stdout, /--repo/);
      assert.match(stdout, new RegExp(`Examples:\\s+blockferry-agent ${command} .*--repo`, "s"));
      assertNamesExitCodes(stdout);
    });
  }

  test("of the version is that of the package", async () => {
    const { code, stdout } = await agent("--version");
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

describe("wrong usage", async () => {
  const folder = await tempFolder();
  const repo = join(folder, "repo");
  const image = join(folder, "disk.img");
  before(async () => {
    await newRepository(folder);
    await writeFile(image, "content");
    await mkdir(join(folder, "other"));
    await writeFile(join(folder, "other", "disk.img"), "other");
    await backUp(repo, image);
  });
  const backup = ["backup", "--repo", repo, "--device", image];
  const CASES: [string, string[]][] = [
    ["no command", []],
    ["an unknown command", ["frobnicate"]],
    ["an unknown option", ["list", "--repo", repo, "--frobnicate"]],
    ["an argument too many", ["list", "--repo", repo, "extra"]],
    ["an argument after --", ["list", "--repo", repo, "--", "extra"]],
    ["a device after --", [...backup, "--", join(folder, "other", "disk.img")]],
    ["--no-device", ["backup", "--repo", repo, "--no-device"]],
    ["--tag.env", [...backup, "--tag.env=prod"]],
    ["a repository of another kind", ["init", "--repo", "gopher://host/path"]],
    ["no --repo", ["list"]],
    ["an empty --repo", ["list", "--repo="]],
    ["--repo without a value", ["list", "--repo"]],
    ["--repo twice", ["list", "--repo", repo, "--repo", repo]],
    ["no --device", ["backup", "--repo", repo]],
    ["an empty --device", ["backup", "--repo", repo, "--device="]],
    ["a device without a name after =", ["backup", "--repo", repo, "--device", `${image}=`]],
    ["a device without a path", ["backup", "--repo", repo, "--device", "=root"]],
    ["a device's name with a slash", ["backup", "--repo", repo, "--device", `${image}=a/b`]],
    ["a device's name with a space", ["backup", "--repo", repo, "--device", `${image}=a b`]],
    ["two devices with one name", [...backup, "--device", join(folder, "other", "disk.img")]],
    ["one device twice", [...backup, "--device", image]],
    ["a tag without =", [...backup, "--tag", "prod"]],
    ["a tag without a key", [...backup, "--tag", "=prod"]],
    ["a tag twice", [...backup, "--tag", "env=prod", "--tag", "env=test"]],
    ["--threads 0", [...backup, "--threads", "0"]],
    ["--threads -1", [...backup, "--threads=-1"]],
    ["--threads 1.5", [...backup, "--threads", "1.5"]],
    ["--threads many", [...backup, "--threads", "many"]],
    ["--threads twice", [...backup, "--threads", "1", "--threads", "2"]],
    ["an absurd number of threads", [...backup, "--threads", "100000"]],
    ["--queue-depth 0", [...backup, "--queue-depth", "0"]],
    ["an absurd queue depth", [...backup, "--queue-depth", "1000000"]],
    ["more reads than the process has I/O threads", [...backup, "--threads=16", "--queue-depth=256"]],
    ["an unknown compression", [...backup, "--compression", "zip"]],
    ["no --point", ["restore", "--repo", repo, "--target", "x.img"]],
    ["no --target", ["restore", "--repo", repo, "--point", "latest"]],
    ["an empty --target", ["restore", "--repo", repo, "--point", "latest", "--target="]],
    ["a target of an unknown volume", ["restore", "--repo", repo, "--point=latest", "--target=rot=x.img"]],
    ["--threads 0 for a restore", ["restore", "--repo", repo, "--point=latest", "--target=x", "--threads=0"]],
    ["show without a point", ["show", "--repo", repo]],
    ["--read-data=0", ["verify", "--repo", repo, "--read-data=0"]],
    ["--read-data=101", ["verify", "--repo", repo, "--read-data=101"]],
    ["--read-data=abc", ["verify", "--repo", repo, "--read-data=abc"]],
    ["--read-data=-5", ["verify", "--repo", repo, "--read-data=-5"]],
    ["--threads 0 for a verification", ["verify", "--repo", repo, "--threads", "0"]],
  ];

  for (const [what, args] of CASES) {
    test(`such as ${what} exits with 2 and says what to do`, async () => {
      const error = await agentFails(2, ...args);
      assert.equal(error.code, "Usage");
    });
  }

  test("is printed on standard error, with the remedy on its own line and without a stack trace", async () => {
    for (const args of [["frobnicate"], ["list"], [...backup, "--tag", "prod"]]) {
      const { code, stdout, stderr } = await agent(...args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^blockferry-agent: .+\n {2}\S+/);
      assert.doesNotMatch(stderr, /\n\s+at /);
    }
  });

  test("leaves the repository unchanged", async () => {
    const { points } = await agentJson<ListOutput>("list", "--repo", repo);
    assert.equal(points.length, 1);
  });
});

describe("results and errors", async () => {
  const folder = await tempFolder();
  const repo = join(folder, "repo");
  const image = join(folder, "disk.img");
  const point = async () => (await agentJson<ListOutput>("list", "--repo", repo)).points[0]?.id as string;

  before(async () => {
    const made = await agentJson<{ repository: string; location: string }>("init", "--repo", repo);
    assert.match(made.repository, /^[0-9a-f-]{36}$/);
    assert.equal(made.location, repo);
    await writeMixedImage(image, 20 * MIB, new SeededRandom("cli"));
    await backUp(repo, `${image}=root`, "--tag=env=prod");
  });

  test("as JSON have the documented fields, for every command", async () => {
    const output = await backUp(repo, image);
    assert.deepEqual(Object.keys(output).sort(), ["point", "reliance", "seconds", "stats", "volumes"]);
    assert.match(output.point, /^\d{8}T\d{6}Z-[0-9a-f]{8}$/);
    assert.deepEqual(
      Object.keys(output.stats).sort(),
      ["duplicateBytes", "newBytes", "sourceBytes", "storedBytes", "zeroBytes"].sort(),
    );

    const { points, damaged } = await agentJson<ListOutput>("list", "--repo", repo);
    assert.equal(points.length, 2);
    assert.deepEqual(damaged, []);
    assert.deepEqual(points[0]?.tags, { env: "prod" });

    const { machine, ageSeconds, newerPassedOver, future, pin, ...shown } = await agentJson(
      "show",
      "latest",
      "--repo",
      repo,
    );
    assert.equal(pin, `${shown.repository}:none`);
    assert.deepEqual(shown, points[1]);
    assert.equal(shown.id, output.point);
    assert.equal(machine, `host ${hostname()}`);
    assert.ok((ageSeconds as number) >= 0 && (ageSeconds as number) < 600, String(ageSeconds));
    assert.deepEqual([newerPassedOver, future], [[], null]);

    const verified = await agentJson<VerifyOutput>("verify", "--repo", repo);
    assert.equal(verified.ok, true);
    assert.equal(verified.points, 2);
    assert.equal(verified.packsRead, 0);
    const { packs, packsRead, bytesRead, problems } = await agentJson<VerifyOutput>(
      ...["verify", "--repo", repo, "--read-data"],
    );
    assert.equal(packsRead, packs);
    assert.ok(bytesRead > MIB);
    assert.deepEqual(problems, []);
    const some = await agentJson<VerifyOutput>("verify", "--repo", repo, "--read-data=1");
    assert.ok(some.packsRead >= 1);
    const one = await agentJson<VerifyOutput>("verify", "--repo", repo, "--point", await point());
    assert.equal(one.points, 1);
  });

  test("for people are printed on standard output, and progress on standard error", async () => {
    const backup = await agent("backup", "--repo", repo, "--device", image);
    assert.match(backup.stdout, /^Recovery point \d{8}T\d{6}Z-[0-9a-f]{8}\n/);
    assert.match(backup.stderr, /Backing up: .* of 20\.0 MiB/);
    const list = await agent("list", "--repo", repo);
    assert.match(list.stdout, /^POINT .*\n.*env=prod/);
    const show = await agent("show", "latest", "--repo", repo);
    assert.match(show.stdout, /disk\.img/);
    const verify = await agent("verify", "--repo", repo, "--read-data");
    assert.match(verify.stdout, /whole/);
    const empty = await newRepository(folder, "empty");
    assert.match((await agent("list", "--repo", empty)).stdout, /No recovery point/);
    assert.equal((await agent("verify", "--repo", empty, "--read-data")).code, 0);
  });

  test("come with nothing on standard error when --json succeeds", async () => {
    const { stderr } = await agent("backup", "--repo", repo, "--device", image, "--json");
    assert.equal(stderr, "");
  });

  test("name BLOCKFERRY_REPO's repository where --repo is not given; --repo goes first", async () => {
    const env = { BLOCKFERRY_REPO: repo };
    const list = await startAgent(["list", "--json"], env).result;
    assert.equal(list.code, 0, list.stderr);
    assert.ok((JSON.parse(list.stdout) as ListOutput).points.length > 0);
    const other = await startAgent(["list", "--repo", join(folder, "nowhere"), "--json"], env).result;
    assert.equal(other.code, 1);
    assert.match(other.stdout, /RepositoryNotFound/);
  });

  test("report that a repository already exists, or does not exist", fullDepthOnly, async () => {
    assert.equal((await agentFails(1, "init", "--repo", repo)).code, "RepositoryExists");
    for (const place of [join(folder, "nowhere"), folder, image]) {
      for (const args of [
        ["list"],
        ["show", "latest"],
        ["verify"],
        ["backup", "--device", image],
        ["restore", "--point=latest", `--target=${folder}/x`],
      ]) {
        const error = await agentFails(1, ...args, "--repo", place);
        assert.ok(["RepositoryNotFound", "StorageFailed"].includes(error.code), `${error.code}: ${args}`);
      }
    }
  });

  test("report that a point does not exist, or that a beginning matches several", async () => {
    const empty = await newRepository(folder, "without-points");
    assert.equal((await agentFails(1, "show", "latest", "--repo", empty)).code, "PointNotFound");
    for (const args of [
      ["show", "19990101"],
      ["verify", "--point=19990101"],
      ["restore", "--point=19990101", `--target=${folder}/x`],
      ["show", "2"],
    ]) {
      const error = await agentFails(1, ...args, "--repo", repo);
      assert.equal(error.code, "PointNotFound");
      assert.match(error.remedy, /list/);
    }
    const id = await point();
    assert.equal((await agentJson("show", id.slice(0, -1), "--repo", repo)).id, id);
  });

  test("of a failure carry a stack trace with --verbose alone", async () => {
    const args = ["list", "--repo", join(folder, "nowhere")];
    const quiet = await agent(...args);
    assert.equal(quiet.code, 1);
    assert.equal(quiet.stdout, "");
    assert.doesNotMatch(quiet.stderr, /\n\s+at /);
    assert.match((await agent(...args, "--verbose")).stderr, /\n\s+at /);
  });

  test("of a damaged repository exit with 3", async () => {
    const damaged = await newRepository(folder, "damaged");
    await writeFile(join(damaged, "config.json"), "{}");
    const { code, stdout } = await agent("list", "--repo", damaged, "--json");
    assert.equal(code, 3);
    const { error } = JSON.parse(stdout) as { error: ErrorRecord };
    assert.equal(error.object, "config.json");
  });
});

test("progress is a bar on a terminal, and none of it elsewhere", async () => {
  const folder = await tempFolder();
  const repo = await newRepository(folder);
  const image = join(folder, "disk.img");
  await writeMixedImage(image, 20 * MIB, new SeededRandom("bar"));
  const args = ["backup", "--repo", repo, "--device", image];
  const { code, screen } = await agentOnTerminal(...args);
  assert.equal(code, 0, screen);
  assert.match(screen, /Backing up [█░]{10,} .*20\.0 MiB 100%/);
  assert.match(screen, /Recovery point /);
  assert.ok(screen.includes("\u001b["), "a bar is drawn in place");
  const plain = await agent(...args);
  for (const drawn of ["█", "░", "\u001b", "\r"]) {
    assert.ok(!`${plain.stdout}${plain.stderr}`.includes(drawn), plain.stderr);
  }
});

function assertNamesExitCodes(help: string): void {
  assert.match(help, /0 ok, 1 failed, 2 (wrong )?usage, 3 data damaged, 130 interrupted/);
}
