import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { REFUSED_SERVERS, S3_SERVER_NAMES } from "../support/s3-server.js";

const text = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), "utf8");

test("the table of S3 servers has exactly the tested servers, with the installed versions and their results", async () => {
  const page = await text("docs/reference/s3-servers.md");
  const rows = page
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(1)
    .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| /, "")));
  const documented = rows.map(([server = "", version, result]) => [server.split(" ")[0], version, result]);
  const script = await text("scripts/s3-servers.sh");
  const moto = /^moto==(\S+)$/m.exec(await text("scripts/moto-requirements.txt"))?.[1];
  const versionOf = (name: string) => {
    const variable = name.toUpperCase().replace("-", "_");
    return name === "moto" ? moto : new RegExp(`^${variable}=(\\S+)$`, "m").exec(script)?.[1];
  };
  const resultOf = (code: string | undefined) =>
    code === undefined ? "works" : `\`init\` fails with \`${code}\``;
  assert.deepEqual(
    documented,
    S3_SERVER_NAMES.map((name) => [name, versionOf(name), resultOf(REFUSED_SERVERS[name])]),
  );
  const installed = [...script.matchAll(/^install_(\w+)\(/gm)].map(([, name = ""]) =>
    name.replaceAll("_", "-"),
  );
  assert.deepEqual(installed, [...S3_SERVER_NAMES]);
});
