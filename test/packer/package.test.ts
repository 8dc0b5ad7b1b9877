import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { runTool } from "../support/run-tool.js";
import { tempFolder } from "../support/temp-folder.js";

interface Packed {
  filename: string;
  files: { path: string }[];
}

describe("the package", fullDepthOnly, async () => {
  const folder = await tempFolder();
  const pack = ["pack", "--json", "--silent", "--pack-destination", folder];
  const [{ filename, files }] = JSON.parse(await runTool("npm", ...pack)) as [Packed];
  const { version, bin } = JSON.parse(await readFile("package.json", "utf8"));

  test("holds the programs and their documentation, but no tests, benchmarks or sources", () => {
    const code = /^dist\/programs\/(agent|controller)\/[^/]+\.c?js$/;
    const documents =
      /^(LICENSE|README\.md|package\.json|docs\/(README|[a-z0-9/-]+)\.md|docs\/reference\/json\/[a-z/-]+\.json)$/;
    const others = files.map(({ path }) => path).filter((path) => !code.test(path) && !documents.test(path));
    assert.deepEqual(others, []);
    const paths = new Set(files.map(({ path }) => path));
    for (const program of Object.values<string>(bin)) assert.ok(paths.has(program), program);
  });

  test("installs globally on an empty machine, and both command lines run", async () => {
    const prefix = join(folder, "prefix");
    const install = ["install", "--global", "--prefix", prefix, "--no-audit", "--no-fund", "--silent"];
    await runTool("npm", ...install, join(folder, filename));
    for (const program of ["blockferry-agent", "blockferry"]) {
      assert.equal(await runTool(join(prefix, "bin", program), "--version"), version);
    }
    const agent = join(prefix, "bin/blockferry-agent");
    const repo = join(folder, "repo");
    await runTool(agent, "init", "--repo", repo);
    await runTool(agent, "backup", "--repo", repo, "--device", "package.json");
    await runTool(agent, "verify", "--repo", repo, "--read-data");
  });
});
