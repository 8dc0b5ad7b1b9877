import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { runTool } from "../support/run-tool.js";

/** A registry's answer to a query for advisories. */
type Answer = { status: number; advisories?: unknown };

const ADVISORY = {
  ...{ id: 1, url: "https://example.com/advisory", title: "Evil", severity: "high" },
  vulnerable_versions: "*",
};

/** The next answer that npm needs: the existing versions. */
const PACKUMENT = { name: "lz4", versions: { "0.6.5": { name: "lz4", version: "0.6.5" } } };

/** Runs scripts/audit.sh against such a registry. */
async function audit({ status, advisories = {} }: Answer) {
  const server = createServer(({ method }, response) =>
    response.writeHead(status).end(JSON.stringify(method === "POST" ? advisories : PACKUMENT)),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  const registry = `npm_config_registry=http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const shell = ["env", registry, "npm_config_fetch_retries=0", "bash", "-c", "bash scripts/audit.sh 2>&1"];
  return runTool(shell[0] as string, ...shell.slice(1)).then(
    (output) => ({ code: 0, output }),
    ({ code, stdout }) => ({ code, output: stdout as string }),
  );
}

describe("the audit of the dependencies", () => {
  test("passes when the registry knows no vulnerability", async () => {
    const { code, output } = await audit({ status: 200 });
    assert.equal(code, 0, output);
    assert.match(output, /no known vulnerabilities/);
  });

  test("fails when it knows one, and names it", async () => {
    const { code, output } = await audit({ status: 200, advisories: { lz4: [ADVISORY] } });
    assert.equal(code, 1, output);
    assert.match(output, /lz4[\s\S]*Evil/);
  });

  test("says that nothing was checked when the registry serves no advisories", async () => {
    const { code, output } = await audit({ status: 405 });
    assert.equal(code, 0, output);
    assert.match(output, /NOT CHECKED.*405/);
  });

  test("fails when the registry is out of order", async () => {
    const { code, output } = await audit({ status: 500 });
    assert.equal(code, 1, output);
  });
});
