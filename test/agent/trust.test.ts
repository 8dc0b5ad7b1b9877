import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startAgent } from "../support/agent.js";
import { startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { initPlain } from "../support/repositories.js";
import { directoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";
import { testTrust } from "./trust-suite.js";

testTrust(directoryPlace(await tempFolder()));

const list = (repo: string, state: string) =>
  startAgent(["list", "--repo", repo, "--json"], { BLOCKFERRY_STATE_DIR: state }).result;

test("the record of known repositories is readable by its user only, and never written through a link", async () => {
  const folder = await tempFolder();
  const [repo, state, victim] = [join(folder, "repo"), join(folder, "a/state"), join(folder, "victim")];
  await initPlain(repo);
  assert.equal((await list(repo, state)).code, 0);
  const [file = ""] = await readdir(state);
  assert.equal((await stat(join(state, file))).mode & 0o777, 0o600);
  assert.equal((await stat(state)).mode & 0o777, 0o700);
  const other = join(folder, "other");
  await mkdir(other);
  await writeFile(victim, "victim");
  await symlink(victim, join(other, file));
  assert.equal((await list(repo, other)).code, 1, "a link is not read");
  assert.equal(await readFile(victim, "utf8"), "victim");
});

test("a machine that cannot remember says so, and goes on", async () => {
  const folder = await tempFolder();
  const repo = join(folder, "repo");
  await initPlain(repo);
  const file = join(folder, "file");
  await writeFile(file, "");
  const { code, stderr } = await list(repo, join(file, "state"));
  assert.equal(code, 0);
  assert.equal(stderr.match(/cannot remember the repository/g)?.length, 1, stderr);
});

test(
  "a note names a passphrase file that others can read, and none that is private",
  fullDepthOnly,
  async () => {
    const folder = await tempFolder();
    const file = join(folder, "passphrase");
    await writeFile(file, "a passphrase of this test");
    const run = async (mode: number, env: NodeJS.ProcessEnv = {}, ...command: string[]) => {
      await chmod(file, mode);
      const args = ["--repo", join(folder, "repo"), "--passphrase-file", file];
      const { code, stderr } = await startAgent([...command, ...args], env).result;
      assert.equal(code, 0, stderr);
      return stderr.match(/^note: the passphrase file .*$/gm) ?? [];
    };
    const [first = "", ...others] = await run(0o644, {}, "init", "--encrypt", "passphrase");
    assert.match(first, /passphrase can be read or written by others \(mode 0644\); chmod 600/);
    assert.deepEqual(others, []);
    assert.equal((await run(0o640, {}, "list")).length, 1);
    assert.deepEqual(await run(0o600, {}, "list"), []);
    assert.deepEqual(await run(0o440, { CREDENTIALS_DIRECTORY: folder }, "list"), []);
  },
);

const INSPECTOR_START_MS = 500;

for (const [program, start] of Object.entries({
  "blockferry-agent": startAgent,
  blockferry: startController,
})) {
  test(`SIGUSR1 does not open the inspector of ${program}`, async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const command = program === "blockferry" ? "cleanup" : "list";
    const args = [command, "--repo", "s3://bucket/x", "--region", "us-east-1", "--endpoint-url", url];
    const env = {
      ...{ AWS_ENDPOINT_URL: url, AWS_REGION: "us-east-1", NODE_OPTIONS: "--inspect-port=0" },
      ...{ AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "x" },
    };
    const running = start(args, env);
    const [socket] = await once(server, "connection");
    running.process.kill("SIGUSR1");
    await setTimeout(INSPECTOR_START_MS);
    running.process.kill("SIGKILL");
    const { signal, stderr } = await running.result;
    socket.destroy();
    server.close();
    assert.equal(signal, "SIGKILL", stderr);
    assert.doesNotMatch(stderr, /Debugger listening/);
  });
}
