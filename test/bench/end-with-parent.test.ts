import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";
import { waitUntil } from "../support/wait-until.js";

const folder = await tempFolder();
const servers = [
  { name: "null sink", start: "startNullSink()", options: {} },
  {
    name: "versitygw",
    start: `startVersitygw(${JSON.stringify(folder)})`,
    options: needing("versitygw"),
  },
];
for (const { name, start, options } of servers) {
  test(`the ${name} of a benchmark that is killed ends with it`, options, async () => {
    const benchmark = startBenchmark("s3/servers.js", `console.log((await bench.${start}).endpointUrl)`);
    const [printed] = (await once(benchmark.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const endpointUrl = printed.toString().trim();
    assert.ok(await answers(endpointUrl));
    benchmark.kill("SIGKILL");
    await waitUntil(`the end of ${name}`, async () => !(await answers(endpointUrl)));
  });
}

test("the process that a benchmark measures ends with a killed benchmark", async () => {
  const pidFile = join(folder, "pid");
  const command = ["sh", "-c", 'sleep 1000 & echo $! > "$0"; wait', pidFile];
  const benchmark = startBenchmark("measure.js", `await bench.measure(${JSON.stringify(command)})`);
  let pid = 0;
  await waitUntil("the command", async () => {
    pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
    return pid > 0;
  });
  assert.ok(await isRunning(pid));
  benchmark.kill("SIGKILL");
  await waitUntil("the end of the command", async () => !(await isRunning(pid)));
});

/** Starts a process that runs a script with a module of the benchmark. */
function startBenchmark(module: string, script: string): ChildProcess {
  const url = new URL(`../../bench/${module}`, import.meta.url).href;
  const program = `import * as bench from "${url}"; ${script};`;
  const benchmark = spawn(process.execPath, ["--input-type=module", "--eval", program]);
  after(() => benchmark.kill("SIGKILL"));
  return benchmark;
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

/** Returns whether a process runs. It may stay a zombie after its end until its exit code is read. */
async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return status !== undefined && !/\) Z/.test(status);
}
