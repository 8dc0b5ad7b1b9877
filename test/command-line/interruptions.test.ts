import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { INTERRUPTIONS, type Interruption } from "../../command-line/interruptions.js";
import type { ErrorRecord } from "../../foundation/errors.js";
import { agent, startAgent } from "../support/agent.js";
import { controller, startController } from "../support/controller.js";
import { byDepth } from "../support/depth.js";
import { initEncrypted } from "../support/encryption.js";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";
import { waitUntil } from "../support/wait-until.js";

const JOB = "job-20261124T120000Z-0123abcd";
const POINT = "20261124T120000Z-0123abcd";

/** Arguments of each command, without the repository. The commands without arguments ask for nothing that waits. */
const ARGUMENTS: Record<string, string[] | undefined> = {
  "blockferry-agent init": [],
  "blockferry-agent backup": ["--device", "disk.img"],
  "blockferry-agent restore": ["--point", "latest", "--target", "out.img"],
  "blockferry-agent nbd": ["--point", "latest", "--listen", "127.0.0.1:0"],
  "blockferry-agent export": ["--point", "latest", "--format", "raw", "out.raw"],
  "blockferry-agent list": [],
  "blockferry-agent show": ["latest"],
  "blockferry-agent verify": [],
  "blockferry-agent copy": [],
  "blockferry-agent stats": [],
  "blockferry-agent tune": ["--device", "disk.img"],
  "blockferry-agent forget": [POINT],
  "blockferry-agent prune": [],
  "blockferry-agent repair": ["index"],
  "blockferry-agent key": ["remove", "0123abcd"],
  "blockferry-agent trust": undefined,
  "blockferry-agent serve": ["--worker-id", "i-0f1e2d3c4b5a69788", "--once"],
  "blockferry-agent limits": undefined,
  "blockferry backup": ["--instance", "i-0a1b2c3d4e5f60718", "--worker", "i-0f1e2d3c4b5a69788"],
  "blockferry check": ["--instance", "i-0a1b2c3d4e5f60718", "--worker", "i-0f1e2d3c4b5a69788"],
  "blockferry restore": ["--point", "latest", "--worker", "i-0f1e2d3c4b5a69788"],
  "blockferry status": [],
  "blockferry cancel": [JOB],
  "blockferry resume": [JOB],
  "blockferry cleanup": [],
  "blockferry points": [],
  "blockferry show": ["latest"],
  "blockferry iam-policy": undefined,
};

describe("the texts about interrupts", () => {
  test("exist for each command of both programs, and for no other", async () => {
    const commands: string[] = [];
    for (const { stdout } of [await agent("--help"), await controller(["--help"])]) {
      commands.push(
        ...[...stdout.matchAll(/^ {2}(blockferry(?:-agent)? [a-z-]+)/gm)].map(([, name = ""]) => name),
      );
    }
    assert.deepEqual(Object.keys(INTERRUPTIONS).toSorted(), commands.toSorted());
    assert.deepEqual(Object.keys(ARGUMENTS).toSorted(), commands.toSorted());
  });

  test("differ: no command has the texts of another", () => {
    const all = Object.values(INTERRUPTIONS);
    const outcomes = all.map(({ outcome }) => outcome);
    assert.equal(new Set(outcomes).size, outcomes.length);
    const activities = all.flatMap(({ doing, left }) =>
      doing === undefined || left !== undefined ? [] : [doing],
    );
    assert.equal(new Set(activities).size, activities.length);
  });
});

describe("after SIGTERM", async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, "disk.img"), Buffer.alloc(4096, 1));
  const server = await silentServer();
  after(() => server.close());
  const location = ["s3://bucket/repo", "--region", "us-east-1", "--endpoint-url", server.url] as const;

  const all = Object.entries(ARGUMENTS).filter(([, args]) => args !== undefined) as [string, string[]][];
  for (const [name, args] of all.filter((_, number) => number % byDepth({ quick: 3, full: 1 }) === 0)) {
    const needs = name.endsWith(" export") ? needing("qemu-img") : { skip: false };
    test(`${name} says in its own words which state it leaves`, needs, async () => {
      const [program, command = ""] = name.split(" ");
      const [repo, ...endpoint] = location;
      const from = name.endsWith(" copy") ? ["--from", repo, "--to", "s3://bucket/other"] : ["--repo", repo];
      const paths = args.map((arg) => (/\.(img|raw)$/.test(arg) ? join(folder, arg) : arg));
      const start = program === "blockferry" ? startController : startAgent;
      const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
      const before = server.connections();
      const run = start([command, ...paths, ...from, ...endpoint, "--json"], env);
      try {
        await waitUntil("a request", () => server.connections() > before);
        run.process.kill("SIGTERM");
        const { code, signal, stdout, stderr } = await run.result;
        assert.ok(code === 130 || signal === "SIGINT", `${code} ${signal} ${stdout}${stderr}`);
        const { doing, outcome, remedy } = INTERRUPTIONS[name] as Interruption;
        const { error } = JSON.parse(stdout) as { error: ErrorRecord };
        assert.deepEqual([error.code, error.message], ["Interrupted", `Interrupted: ${outcome}.`]);
        assert.equal(error.remedy, remedy);
        // The controller opens the repository before it creates anything, so it ends at once there.
        const announced = program === "blockferry" ? undefined : doing;
        if (announced !== undefined) assert.ok(stderr.includes(`Interrupted; ${announced}.`), stderr);
        else assert.doesNotMatch(stderr, /Interrupted;/);
      } finally {
        run.process.kill("SIGKILL");
      }
    });
  }

  test("a command that waits in the kernel ends at once, and reports it", async () => {
    const repo = join(folder, "encrypted");
    await initEncrypted(repo);
    const pipe = join(folder, "passphrase");
    await runTool("mkfifo", pipe);
    const run = startAgent(["list", "--repo", repo, "--passphrase-file", pipe, "--json"]);
    let end: FileHandle | undefined;
    try {
      await waitUntil("the command to wait for the passphrase", async () => {
        end = await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
        return end !== undefined;
      });
      run.process.kill("SIGTERM");
      const { signal, stdout } = await run.result;
      assert.equal(signal, "SIGINT", stdout);
      const { error } = JSON.parse(stdout) as { error: ErrorRecord };
      assert.equal(error.message, `Interrupted: ${INTERRUPTIONS["blockferry-agent list"]?.outcome}.`);
    } finally {
      run.process.kill("SIGKILL");
      await end?.close();
    }
  });
});

/** Starts a server that accepts connections and never answers. */
async function silentServer() {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => sockets.length,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
