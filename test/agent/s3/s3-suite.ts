import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { PruneReport } from "../../../agent/maintenance/prune.js";
import { OWNER_TOKEN } from "../../../foundation/owner-token.js";
import { agentJson, startAgent } from "../../support/agent.js";
import { fullDepthOnly } from "../../support/depth.js";
import { type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { writeMixedImage } from "../../support/images.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { assertRestores, assertWhole, backUp, restoreTo } from "../../support/repositories.js";
import { s3Place } from "../../support/repository-places.js";
import { S3Objects } from "../../support/s3-objects.js";
import { BUCKET, S3_ENVIRONMENT, type S3ServerName, startS3Server } from "../../support/s3-server.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { stopwatch, waitUntil } from "../../support/wait-until.js";
import { testRepository } from "../repository-suite.js";

const MIB = 1024 * 1024;

/** Tests how users work with repositories in S3, on one server. In quick depth it runs only on moto. */
export function testRepositoryIn(name: S3ServerName): void {
  describe(`S3 repositories in ${name}`, name === "moto" ? {} : fullDepthOnly, async () => {
    const random = SeededRandom.fresh();
    const server = await startS3Server(name);
    const objects = new S3Objects(server.endpointUrl);
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    before(() => writeMixedImage(image, 90 * MIB + 777, random));

    // Quick depth runs these tests only on a local directory.
    describe("as everywhere", fullDepthOnly, () => testRepository(s3Place(server)));

    async function newRepository(prefix: string): Promise<string> {
      const repo = `s3://${BUCKET}/${prefix}`;
      await agentJson("init", "--repo", repo);
      return repo;
    }

    test("is reached with options as well as with the environment", fullDepthOnly, async () => {
      const options = ["--endpoint-url", server.endpointUrl, "--force-path-style", "--region", "us-east-1"];
      const repo = `s3://${BUCKET}/options`;
      await agentJson("init", "--repo", repo, ...options);
      const small = join(folder, "options.img");
      await writeRandomFile(small, MIB, random);
      await agentJson(
        ...["backup", "--repo", repo, "--device", small, ...options],
        ...["--storage-class", "STANDARD_IA", "--bandwidth-limit", "100M"],
      );
      const running = startAgent(["verify", "--read-data", "--json", ...options], { BLOCKFERRY_REPO: repo });
      const { code, stdout } = await running.result;
      assert.equal(code, 0, stdout);
    });

    test(
      "after Ctrl-C leaves no unfinished upload, and the next backup continues",
      fullDepthOnly,
      async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        const repo = await newRepository("interrupted");
        const isPart = (url: string) => /partNumber=/i.test(url);
        proxy.chooseFault = ({ url }) => (isPart(url) ? "delay" : undefined);
        const run = startAgent(["backup", "--repo", repo, "--device", image, "--json"], {
          AWS_ENDPOINT_URL: proxy.endpointUrl,
        });
        await waitUntil("an upload", () =>
          proxy.requests.some(({ url, status }) => isPart(url) && status === 200),
        );
        run.process.kill("SIGINT");
        const { code, stdout } = await run.result;
        assert.equal(code, 130, stdout);
        assert.deepEqual(await objects.uploads("interrupted/"), []);
        await backUp(repo, image);
        await assertRestores(repo, "latest", image, join(folder, "interrupted.restored"));
      },
    );

    test(
      "after kill -9 stores only the missing data, and removes the unfinished upload",
      fullDepthOnly,
      async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
        const repo = await newRepository("killed");
        const incompressible = join(folder, "incompressible.img");
        const sizeBytes = 112 * MIB;
        await writeRandomFile(incompressible, sizeBytes, random);
        const args = ["backup", "--repo", repo, "--device", incompressible, "--threads=1", "--json"];
        const isCompletion = ({ method, url }: ProxiedRequest) => method === "POST" && /uploadId=/i.test(url);
        proxy.chooseFault = ({ url }) =>
          /partNumber=/i.test(url) && proxy.requests.some(isCompletion) ? "stall-request" : undefined;
        const run = startAgent(args, env);
        await waitUntil("a pack to be stored, and a part of another", () => {
          const isStored = proxy.requests.some((request) => isCompletion(request) && request.status === 200);
          return isStored && proxy.requests.some(({ fault }) => fault === "stall-request");
        });
        run.process.kill("SIGKILL");
        await run.result;
        const [stored = ""] = await objects.keys("killed/packs/");
        const storedBytes = (await objects.get(stored)).length;
        const unfinished = await objects.uploads("killed/");
        assert.ok(unfinished.length > 0, "an upload was left unfinished");
        proxy.requests.length = 0;
        proxy.chooseFault = () => undefined;
        const { code, stdout } = await startAgent(args, env).result;
        assert.equal(code, 0, stdout);
        const sent = proxy.requests
          .filter(({ method, url }) => method === "PUT" && url.includes("/packs/"))
          .reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
        assert.ok(sent <= sizeBytes - storedBytes + 2 * MIB, `${sent} bytes sent, ${storedBytes} were there`);
        assert.deepEqual(await objects.uploads("killed/"), []);
        await restoreTo(repo, "latest", join(folder, "killed.restored"));
        await assertSameContent(join(folder, "killed.restored"), incompressible);
      },
    );

    test(
      "loses the unfinished uploads of a killed run by prune, and nothing else",
      fullDepthOnly,
      async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        const repo = await newRepository("pruned");
        await backUp(repo, image);
        const keys = await objects.keys("pruned/");
        proxy.chooseFault = ({ url }) => (/partNumber=/i.test(url) ? "stall-request" : undefined);
        const changed = join(folder, "changed.img");
        await writeRandomFile(changed, 20 * MIB, random);
        const run = startAgent(["backup", "--repo", repo, "--device", changed, "--threads=1", "--json"], {
          AWS_ENDPOINT_URL: proxy.endpointUrl,
        });
        await waitUntil("a part that stalls", () => proxy.requests.some(({ fault }) => fault !== undefined));
        run.process.kill("SIGKILL");
        await run.result;
        const unfinished = await objects.uploads("pruned/");
        assert.ok(unfinished.length > 0);
        const report = await agentJson<PruneReport>("prune", "--repo", repo);
        assert.equal(report.unfinishedRemoved, unfinished.length);
        assert.deepEqual(await objects.uploads("pruned/"), []);
        assert.deepEqual(await objects.keys("pruned/"), keys);
        await assertWhole(repo);
      },
    );

    test(
      "keeps foreign objects below tmp/ and foreign uploads, whichever command cleans up",
      fullDepthOnly,
      async () => {
        const repo = await newRepository("mixed");
        const other = await newRepository("mixed-copy");
        const small = join(folder, "mixed.img");
        await writeRandomFile(small, MIB, random);
        await backUp(repo, small);
        const dead = `${OWNER_TOKEN.slice(0, 8)}-${2 ** 30}`;
        const marker = `${dead}@0123456789abcdef`;
        const pack = `packs/ab/ab${"0".repeat(30)}`;
        const foreignObjects = [
          ...[
            "notes.txt",
            dead,
            `${dead}@0123`,
            `${dead}@0123456789ABCDEF`,
            `${marker}.bak`,
            `sub/${marker}`,
          ],
          ...[`x${marker}`, marker.replace("@", "-"), marker.replace(dead, `${dead}-x`)],
        ].map((name) => `tmp/${name}`);
        const foreignUploads = ["photos/a.bin", `${pack}.tmp`, "packs/notes", pack.replace("/ab/", "/cd/")];
        // Prefixes of another repository, of the same length, and of objects beside both repositories.
        const beside = ["nixed/", ""];
        const ofRepository = (prefix: string) => [`${prefix}tmp/${marker}`, `${prefix}${pack}`] as const;
        const kept = {
          objects: [
            ...["mixed/", "mixed-copy/"].flatMap((prefix) => foreignObjects.map((key) => prefix + key)),
            ...beside.map((prefix) => ofRepository(prefix)[0]),
          ].sort(),
          uploads: [
            ...["mixed/", "mixed-copy/"].flatMap((prefix) => foreignUploads.map((key) => prefix + key)),
            ...beside.map((prefix) => ofRepository(prefix)[1]),
          ].sort(),
        };
        for (const key of kept.objects) await objects.put(key, Buffer.from("precious"));
        for (const key of kept.uploads) await objects.beginUpload(key);
        const [somePack = ""] = (await objects.keys("mixed/packs/")).map((key) => key.slice(-32));
        const commands = {
          backup: ["backup", "--repo", repo, "--device", small],
          prune: ["prune", "--repo", repo, "--grace-period=0s"],
          "repair packs": ["repair", "packs", somePack, "--repo", repo],
          copy: ["copy", "--from", repo, "--to", other],
          tune: ["tune", "--device", small, "--repo", repo, "--seconds=2"],
        };
        for (const [name, args] of Object.entries(commands)) {
          const [deadMarker, deadUpload] = ofRepository(name === "copy" ? "mixed-copy/" : "mixed/");
          await objects.put(deadMarker, Buffer.alloc(0));
          await objects.beginUpload(deadUpload);
          const { code, stdout, stderr } = await startAgent([...args, "--json"]).result;
          assert.equal(code, 0, stdout + stderr);
          const places = ["mixed/tmp/", "mixed-copy/tmp/", "nixed/tmp/", "tmp/"];
          const there = await Promise.all(places.map((prefix) => objects.keys(prefix)));
          assert.deepEqual(there.flat().sort(), kept.objects, name);
          const uploads = (await objects.uploads("")).filter((key) => /^(mixed|nixed|packs)/.test(key));
          assert.deepEqual(uploads.sort(), kept.uploads, name);
        }
      },
    );

    test(
      "gets no more bytes a second than --bandwidth-limit allows, from all threads together",
      fullDepthOnly,
      async () => {
        const repo = await newRepository("limited");
        const incompressible = join(folder, "limited.img");
        await writeRandomFile(incompressible, 40 * MIB, random);
        // The first request passes at once; each other request waits for the ones before it.
        const seconds = (bytes: number) => (bytes - 8 * MIB) / (16 * MIB);
        const backup = await backUp(repo, incompressible, "--bandwidth-limit=16M", "--threads=4");
        assert.ok(backup.seconds >= seconds(40 * MIB), `${backup.seconds} s`);
        const target = join(folder, "limited.restored");
        const elapsed = stopwatch();
        await restoreTo(repo, "latest", target, "--bandwidth-limit=16M", "--threads=4");
        assert.ok(elapsed() / 1000 >= seconds(40 * MIB), `${elapsed()} ms`);
        await assertSameContent(target, incompressible);
      },
    );

    test("is read and written with new credentials when the old ones expire in the middle of a run", async () => {
      const repo = await newRepository("refreshed");
      const config = join(folder, "aws-config");
      const runs = join(folder, "credential-runs");
      const program = await credentialProcess(runs);
      await writeFile(config, `[profile expiring]\nregion = us-east-1\ncredential_process = ${program}\n`);
      const args = [
        "backup",
        "--repo",
        repo,
        "--device",
        image,
        "--threads=1",
        "--json",
        "--profile=expiring",
      ];
      const { code, stdout, stderr } = await startAgent(args, { AWS_CONFIG_FILE: config }).result;
      assert.equal(code, 0, stdout + stderr);
      assert.equal(stderr, "");
      const clients = 2;
      const asked = (await readFile(runs, "utf8")).length;
      assert.ok(asked > clients, `credentials were asked for ${asked} times by ${clients} clients`);
    });

    /**
     * Writes a program for `credential_process` that records each run. The SDK renews credentials that expire
     * in less than five minutes, and a busy machine takes seconds to do so.
     */
    async function credentialProcess(runs: string): Promise<string> {
      const program = join(folder, "credentials.sh");
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = S3_ENVIRONMENT;
      const credentials = `{"Version":1,"AccessKeyId":"${AWS_ACCESS_KEY_ID}","SecretAccessKey":"${AWS_SECRET_ACCESS_KEY}","Expiration":"%s"}`;
      const expiration = '"$(date -u -d "+30 seconds" +%Y-%m-%dT%H:%M:%SZ)"';
      const script = `#!/bin/sh\nprintf x >> ${runs}\nprintf '${credentials}' ${expiration}\n`;
      await writeFile(program, script, { mode: 0o755 });
      return program;
    }

    test(
      "gets signed requests alone, and only the payload of a part goes unsigned",
      fullDepthOnly,
      async () => {
        const proxy = await startFaultProxy(server.endpointUrl);
        const env = { AWS_ENDPOINT_URL: proxy.endpointUrl };
        const repo = `s3://${BUCKET}/signed`;
        for (const args of [["init"], ["backup", "--device", image], ["list"], ["verify", "--read-data"]]) {
          const { code, stderr } = await startAgent([...args, "--repo", repo, "--verbose"], env).result;
          assert.equal(code, 0, stderr);
        }
        assert.ok(proxy.requests.length > 10);
        for (const { method, url, headers, bodyBytes } of proxy.requests) {
          const said = `${method} ${url}`;
          assert.match(String(headers.authorization), /^AWS4-HMAC-SHA256 .*SignedHeaders=[^,]*host/, said);
          const isPart = /partNumber=/i.test(url);
          assert.equal(headers["x-amz-content-sha256"] === "UNSIGNED-PAYLOAD", isPart, said);
          if (isPart || (method === "PUT" && bodyBytes > 0)) {
            assert.match(String(headers.authorization), /SignedHeaders=[^,]*x-amz-checksum-crc32/, said);
          }
        }
      },
    );
  });
}
