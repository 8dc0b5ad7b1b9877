import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../../foundation/errors.js";
import { startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { xmlError } from "../../support/fault-proxy.js";
import { writeMixedImage } from "../../support/images.js";
import {
  behaveAs,
  describeOddity,
  ODDITY_NAMES,
  type OddityName,
  oddServer,
} from "../../support/odd-server.js";
import { SeededRandom } from "../../support/random.js";
import { failure } from "../../support/repositories.js";
import { S3Objects } from "../../support/s3-objects.js";
import { BUCKET } from "../../support/s3-server.js";
import { sha256File } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;

/** What `init` finds: a refusal, or notes. */
type Finding = { code: ErrorCode; message: RegExp } | { notes: RegExp[] };

const unsuitable = (message: RegExp): Finding => ({ code: "StorageUnsuitable", message });
const UPLOADS = [/does not list unfinished uploads by prefix/];
const SINGLY = [/cannot remove several objects in one request/];

const FINDINGS: Record<OddityName, Finding> = {
  "list-uploads-501": { notes: UPLOADS },
  "list-uploads-405": { notes: UPLOADS },
  "list-uploads-404": { notes: UPLOADS },
  "list-uploads-exact-key": { notes: UPLOADS },
  "list-uploads-empty": { notes: UPLOADS },
  "object-lock-501": { notes: [] },
  "object-lock-404": { notes: [] },
  "object-lock-400": { notes: [] },
  "delete-objects-501": { notes: SINGLY },
  "delete-objects-405": { notes: SINGLY },
  "delete-objects-400": { notes: SINGLY },
  "if-none-match-501": unsuitable(/cannot refuse to replace an object \(If-None-Match\)/),
  "if-none-match-ignored": { code: "ConditionalWritesUnsupported", message: /replaced an object/ },
  "range-ignored": unsuitable(/cannot read a range of an object/),
  "list-small-pages": { notes: [] },
  "list-without-is-truncated": {
    code: "ListIncomplete",
    message: /did not say whether the list is whole/,
  },
  "list-without-token": unsuitable(/said that the list goes on, and not where/),
  "list-ignores-token": unsuitable(/answered with the same page again/),
  "list-capped": unsuitable(/a list does not show .*, which was just stored/),
  "list-folds-case": unsuitable(/a list does not show .*-Proof\.json.*, but shows .*-proof\.json/),
  "list-omits-newest": unsuitable(/announced \d objects, and named \d/),
  "crc32-501": unsuitable(/cannot store an object with its CRC-32/),
  "crc32-400": unsuitable(/cannot store an object with its CRC-32/),
  "quota-ceph": { notes: [] },
  "quota-minio": { notes: [] },
};

describe("init on a server that", async () => {
  const proxy = await oddServer("list-capped");
  const objects = new S3Objects(proxy.endpointUrl);
  const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };

  for (const name of ODDITY_NAMES) {
    const finding = FINDINGS[name];
    const end = "code" in finding ? "refuses it in its own words" : "accepts it, and notes what it lacks";
    test(`${describeOddity(name)} ${end}; nothing else stays there`, async () => {
      behaveAs(proxy, name);
      const repo = `s3://${BUCKET}/${name}`;
      const result = await startAgent(["init", "--repo", repo, "--json"], env).result;
      behaveAs(proxy, undefined);
      const stored = (await objects.keys(`${name}/`)).map((key) => key.slice(name.length + 1));
      if ("code" in finding) {
        const { code, message } = failure(1, result);
        assert.equal(code, finding.code, message);
        assert.match(message, finding.message);
        assert.deepEqual(stored, []);
        return;
      }
      assert.equal(result.code, 0, result.stdout);
      const { notes } = JSON.parse(result.stdout) as { notes: string[] };
      assert.equal(notes.length, finding.notes.length, notes.join("\n"));
      for (const [number, note] of finding.notes.entries()) assert.match(notes[number] as string, note);
      assert.deepEqual(stored, ["config.json"]);
    });
  }
});

describe("every command on a server that", fullDepthOnly, async () => {
  const folder = await tempFolder();
  const proxy = await oddServer("list-capped");
  const objects = new S3Objects(proxy.endpointUrl);
  const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };

  /** One of each kind that `init` accepts. */
  const HARMLESS = [
    "list-uploads-501",
    "list-uploads-exact-key",
    "object-lock-501",
    "delete-objects-400",
    "list-small-pages",
  ] as const;
  for (const name of HARMLESS) {
    test(`${describeOddity(name)} works, and leaves no lease, upload or record behind`, async () => {
      behaveAs(proxy, name);
      const repo = ["--repo", `s3://${BUCKET}/all-${name}`];
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await startAgent([...args, ...repo, "--json"], env).result;
        assert.equal(code, 0, `${args[0]}: ${stdout}\n${stderr}`);
        return JSON.parse(stdout) as Record<string, unknown>;
      };
      const image = join(folder, `${name}.img`);
      const target = join(folder, `${name}.restored`);
      await run("init");
      // More than one part: the pack is uploaded in parts.
      await writeMixedImage(image, 20 * MIB, new SeededRandom(name));
      const { point } = await run("backup", "--device", `${image}=disk`);
      await writeMixedImage(image, 20 * MIB, new SeededRandom(`${name}, changed`));
      await run("backup", "--device", `${image}=disk`);
      await run("forget", String(point));
      const { removed } = await run("prune", "--grace-period", "0s");
      assert.ok((removed as { packs: number }).packs > 0);
      await run("verify", "--read-data");
      await run("restore", "--point", "latest", "--target", `disk=${target}`);
      assert.equal(await sha256File(target), await sha256File(image));
      await run("repair", "index");
      behaveAs(proxy, undefined);
      const left = await objects.keys(`all-${name}/`);
      assert.deepEqual(
        left.filter((key) => /\/(locks|tmp|prune\/[0-9a-f])/.test(key)),
        [],
      );
      assert.deepEqual(await objects.uploads(`all-${name}/`), []);
    });
  }

  for (const name of ["list-uploads-exact-key", "list-uploads-501"] as const) {
    test(`${describeOddity(name)}: the next run removes the upload of a killed backup, by its record`, async () => {
      behaveAs(proxy, name);
      const prefix = `killed-${name}/`;
      const repo = ["--repo", `s3://${BUCKET}/${prefix}`];
      const image = join(folder, "killed.img");
      await writeFile(image, new SeededRandom(name).bytes(40 * MIB));
      assert.equal((await startAgent(["init", ...repo], env).result).code, 0);
      const slow = startAgent(["backup", ...repo, "--device", image, "--bandwidth-limit", "4M"], env);
      const records = () => objects.keys(`${prefix}tmp/uploads/`);
      await waitUntil("a recorded upload", async () => (await records()).length > 0);
      slow.process.kill("SIGKILL");
      await slow.result;
      behaveAs(proxy, undefined);
      const recorded = (await records()).map((key) => key.slice(-32));
      const isRecorded = (key: string) => recorded.includes(key.slice(-32));
      assert.equal((await objects.uploads(prefix)).filter(isRecorded).length, recorded.length);
      behaveAs(proxy, name);
      assert.equal((await startAgent(["backup", ...repo, "--device", image], env).result).code, 0);
      behaveAs(proxy, undefined);
      assert.deepEqual(await records(), []);
      assert.deepEqual((await objects.uploads(prefix)).filter(isRecorded), []);
    });
  }
});

test("a lease that cannot be removed is reported, with the reason", async () => {
  const folder = await tempFolder();
  const proxy = await oddServer("list-small-pages");
  const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
  const repo = ["--repo", `s3://${BUCKET}/kept-lease`];
  const image = join(folder, "small.img");
  await writeMixedImage(image, MIB, new SeededRandom("small"));
  assert.equal((await startAgent(["init", ...repo], env).result).code, 0);
  proxy.chooseFault = ({ method, url }) =>
    method === "DELETE" || (method === "POST" && /[?&]delete\b/.test(url))
      ? xmlError(403, "AccessDenied")
      : undefined;
  const { code, stderr } = await startAgent(["backup", ...repo, "--device", image], env).result;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^note: locks\/[0-9a-f]{16}\.json .* could not be removed, .*AccessDenied/m);
});
