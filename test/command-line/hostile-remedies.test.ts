import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pointKey } from "../../repository/format/recovery-point.js";
import { sealJson, unsealText } from "../../repository/format/sealed-json.js";
import { openRepository } from "../../repository/open/repository.js";
import { startAgent } from "../support/agent.js";
import { startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, openWithPassphrase } from "../support/encryption.js";
import { errorBody, startFaultProxy } from "../support/fault-proxy.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { agentFails, backUp, failure, initPlain, newRepository } from "../support/repositories.js";
import { runTool } from "../support/run-tool.js";
import { S3Objects } from "../support/s3-objects.js";
import { BUCKET, startS3Server } from "../support/s3-server.js";
import { tempFolder } from "../support/temp-folder.js";
import { waitUntil } from "../support/wait-until.js";

/** Ends a quoted word, and runs a command if a shell evaluates it. */
const HOSTILE = "it's $(touch INJECTED) `touch INJECTED`; touch INJECTED #";

describe("commands in remedies can be pasted into a shell", async () => {
  const folder = await tempFolder();
  const programs = join(folder, "bin");
  const cwd = join(folder, "cwd");
  await mkdir(programs);
  await mkdir(cwd);
  for (const name of ["blockferry", "blockferry-agent", "nbdcopy"]) {
    await writeFile(join(programs, name), '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  }

  /** Returns the arguments that the program receives. */
  async function argumentsOf(command: string): Promise<string[]> {
    const script = `cd "$1" && PATH="$2:$PATH" && ${command}`;
    const printed = await runTool("sh", "-c", script, "sh", cwd, programs);
    assert.deepEqual(await readdir(cwd), [], `${command} did something else`);
    return printed.split("\n");
  }

  const commandIn = (remedy: string) => /: (blockferry(?:-agent)? .*)$/.exec(remedy)?.[1] ?? "";
  const repo = join(folder, HOSTILE);

  test("that name a folder which is not a repository, or lacks a point or job", async () => {
    const missing = await agentFails(1, "list", "--repo", repo);
    assert.deepEqual(await argumentsOf(commandIn(missing.remedy)), ["init", "--repo", repo]);
    await initPlain(repo);
    const noPoint = await agentFails(1, "show", "20261123", "--repo", repo);
    assert.deepEqual(await argumentsOf(commandIn(noPoint.remedy)), ["list", "--repo", repo]);
    const status = await startController(["status", "job-x", "--repo", repo, "--json"]).result;
    assert.deepEqual(await argumentsOf(commandIn(failure(1, status).remedy)), ["status", "--repo", repo]);
  });

  test("that name a folder whose repository was replaced", async () => {
    const replaced = `${repo} replaced`;
    const env = { BLOCKFERRY_STATE_DIR: join(folder, "state") };
    await initPlain(replaced);
    const list = ["list", "--repo", replaced, "--json"];
    assert.equal((await startAgent(list, env).result).code, 0);
    await rm(replaced, { recursive: true });
    await initPlain(replaced);
    const { code, remedy } = failure(1, await startAgent(list, env).result);
    assert.equal(code, "RepositoryChanged");
    assert.deepEqual(await argumentsOf(commandIn(remedy)), ["trust", "reset", "--repo", replaced]);
  });

  test("that name a repository in S3 which was replaced, and its server", fullDepthOnly, async () => {
    const { endpointUrl } = await startS3Server("moto");
    const objects = new S3Objects(endpointUrl);
    const env = { BLOCKFERRY_STATE_DIR: join(folder, "s3-state") };
    const place = `s3://${BUCKET}/${HOSTILE}`;
    const list = ["list", "--repo", place, "--json"];
    await initPlain(place);
    assert.equal((await startAgent(list, env).result).code, 0);
    await initPlain(`s3://${BUCKET}/other`);
    await objects.put(`${HOSTILE}/config.json`, await objects.get("other/config.json"));
    const { code, remedy } = failure(1, await startAgent(list, env).result);
    assert.equal(code, "RepositoryChanged");
    const reset = await argumentsOf(commandIn(remedy));
    assert.deepEqual(reset.slice(0, 4), ["trust", "reset", "--repo", place]);
    assert.equal((await startAgent(reset, env).result).code, 0);
    assert.equal((await startAgent(list, env).result).code, 0, "the command did what the remedy says");
  });

  test("that name the socket of a volume", async () => {
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 4096, SeededRandom.fresh());
    const from = await newRepository(folder, "served");
    await backUp(from, image);
    const socket = join(folder, "it's $(touch INJECTED)&#?");
    const args = ["nbd", "--repo", from, "--point", "latest", "--listen", `unix:${socket}`];
    const { process: server, result } = startAgent(args);
    let printed = "";
    server.stdout?.on("data", (text) => {
      printed += text;
    });
    await waitUntil("the server to listen", () => /^ +nbdcopy .*\n/m.test(printed));
    server.kill("SIGINT");
    assert.equal((await result).code, 0);
    const [command = ""] = /nbdcopy .*/.exec(printed) ?? [];
    const [uri = "", target] = await argumentsOf(command);
    assert.deepEqual([new URL(uri).searchParams.get("socket"), target], [socket, "disk.img"]);
  });
});

describe("a remedy repeats no text", async () => {
  test("of an id that no version of blockferry makes", fullDepthOnly, async () => {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 4096, SeededRandom.fresh());
    const repo = await newRepository(folder);
    const { point } = await backUp(repo, image);
    const { storage } = await openRepository(repo);
    const body = JSON.parse(unsealText(await storage.get(pointKey(point)), point)) as object;
    await storage.put(pointKey("20261123T112150Z-3f9a1c2b"), sealJson({ ...body, id: HOSTILE }));
    const encrypted = join(folder, "encrypted");
    await initEncrypted(encrypted);
    const keys = (await openWithPassphrase(encrypted)).storage;
    const [key] = await keys.list("keys/");
    const record = JSON.parse(unsealText(await readFile(join(encrypted, key?.key ?? "")), "")) as object;
    await writeFile(join(encrypted, "keys/0123456789abcdef.json"), sealJson({ ...record, id: HOSTILE }));
    for (const args of [
      ["verify", "--repo", repo],
      ["list", "--repo", repo],
      ["repair", "documents", "--dry-run", "--repo", repo],
      ["key", "list", "--repo", encrypted],
    ]) {
      const environment = { BLOCKFERRY_PASSPHRASE: "" };
      const { stdout } = await startAgent([...args, "--json"], environment).result;
      const remedies = [...stdout.matchAll(/"remedy":("(?:[^"\\]|\\.)*")/g)].map(([, text = ""]) => text);
      assert.ok(remedies.length > 0, stdout);
      for (const remedy of remedies) assert.doesNotMatch(remedy, /INJECTED/, args.join(" "));
    }
  });

  test("of a server that names a Region", async () => {
    const { endpointUrl } = await startS3Server("moto");
    const proxy = await startFaultProxy(endpointUrl);
    for (const region of [HOSTILE, "eu-north-1"]) {
      proxy.chooseFault = () => ({
        ...{ status: 301, headers: { "x-amz-bucket-region": region }, body: errorBody("PermanentRedirect") },
      });
      const list = ["list", "--repo", `s3://${BUCKET}/x`, "--json"];
      const run = startAgent(list, { AWS_ENDPOINT_URL: proxy.endpointUrl });
      const { code, remedy } = failure(1, await run.result);
      assert.equal(code, "WrongRegion");
      assert.doesNotMatch(remedy, /INJECTED/);
      assert.equal(remedy.includes("--region eu-north-1"), region === "eu-north-1");
    }
  });
});
