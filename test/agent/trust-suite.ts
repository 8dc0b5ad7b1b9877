import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { newConfig } from "../../repository/format/config.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { startAgent } from "../support/agent.js";
import { controller, startController } from "../support/controller.js";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted, PASSPHRASE } from "../support/encryption.js";
import { failure, initPlain } from "../support/repositories.js";
import type { RepositoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";

const SECRET = "TOPSECRETTOPSECRET";
const GIVEN = { BLOCKFERRY_PASSPHRASE: PASSPHRASE };
const NONE = { BLOCKFERRY_PASSPHRASE: "" };

type Environment = NodeJS.ProcessEnv;

/**
 * Tests attacks by a writer to the repository's place. The attacker wants backups stored unencrypted, or
 * under another key.
 */
export function testTrust(place: RepositoryPlace): void {
  let number = 0;
  const nextName = () => `trust-${number++}`;
  const run = (env: Environment, ...args: string[]) => startAgent([...args, "--json"], env).result;

  /** Makes a machine: its own memory of repositories, and an image to back up. */
  async function machine() {
    const folder = await tempFolder();
    const image = join(folder, "secret.img");
    await writeFile(image, SECRET + randomBytes(200_000).toString("base64"));
    const passphrase = join(folder, "passphrase");
    await writeFile(passphrase, PASSPHRASE, { mode: 0o600 });
    return { folder, image, passphrase, state: { BLOCKFERRY_STATE_DIR: join(folder, "state") } };
  }

  async function bodyOf(name: string) {
    return JSON.parse((await place.get(name, "config.json")).toString()).body;
  }

  async function assertNothingInTheClear(name: string): Promise<void> {
    for (const key of await place.keys(name, "packs/")) {
      assert.ok(!(await place.get(name, key)).includes(SECRET), `${key} holds the data in the clear`);
    }
  }

  /** Replaces the config and keys of repository `name` by those of repository `by`. */
  async function replace(name: string, by: string): Promise<void> {
    for (const key of await place.keys(name, "keys/")) await place.remove(name, key);
    for (const key of ["config.json", ...(await place.keys(by, "keys/"))]) {
      await place.put(name, key, await place.get(by, key));
    }
  }

  describe(`in ${place.name}`, () => {
    const fresh = async () => {
      const name = nextName();
      await initEncrypted(place.repo(name));
      return { name, repo: place.repo(name), ...(await machine()) };
    };

    test(
      "show prints the pin that init printed, in both programs, for any repository",
      fullDepthOnly,
      async () => {
        const plain = nextName();
        const { image, state } = await machine();
        await initPlain(place.repo(plain));
        for (const [name, env] of [
          [plain, NONE],
          [(await fresh()).name, GIVEN],
        ] as const) {
          const at = ["--repo", place.repo(name)] as const;
          const { id, encryption } = await bodyOf(name);
          const pin = `${id}:${encryption.keyCheck ?? "none"}`;
          assert.equal((await run({ ...env, ...state }, "backup", ...at, "--device", image)).code, 0);
          const listed = await run({ ...env, ...state }, "key", "list", ...at);
          assert.equal(JSON.parse(listed.stdout).pin, pin);
          for (const start of [startAgent, startController]) {
            const show = (...args: string[]) =>
              start(["show", "latest", ...at, ...args], { ...env, ...state }).result;
            assert.equal(JSON.parse((await show("--json", "--expect-repository", pin)).stdout).pin, pin);
            const lines = (await show()).stdout.split("\n");
            assert.ok(
              lines.some((line) => line.startsWith("Pin of the repository") && line.endsWith(` ${pin}`)),
            );
          }
        }
      },
    );

    test(
      "a config that says that nothing is encrypted is refused beside anything below keys/",
      fullDepthOnly,
      async () => {
        for (const version of [1, 3]) {
          for (const leave of ["as it is", "renamed", "another's", "junk"]) {
            const { name, repo, image, state } = await fresh();
            const { id } = await bodyOf(name);
            const plain = newConfig(leave === "as it is" ? randomUUID() : id);
            const { features: _, ...older } = plain as { features?: unknown } & typeof plain;
            await place.put(name, "config.json", sealJson(version === 1 ? { ...older, version } : plain));
            const [key = ""] = await place.keys(name, "keys/");
            const record = await place.get(name, key);
            if (leave !== "as it is") await place.remove(name, key);
            if (leave === "renamed") await place.put(name, "keys/foo", record);
            if (leave === "another's") {
              const { body } = JSON.parse(record.toString());
              await place.put(name, key, sealJson({ ...body, repository: randomUUID() }));
            }
            if (leave === "junk") await place.put(name, "keys/x.json", Buffer.from("x"));
            for (const env of [GIVEN, NONE]) {
              const result = await run({ ...env, ...state }, "backup", "--repo", repo, "--device", image);
              assert.equal(failure(3, result).code, "ObjectCorrupt", `${leave}, version ${version}`);
            }
            await assertNothingInTheClear(name);
          }
        }
      },
    );

    test("a passphrase in a file or a variable is refused where nothing is encrypted, and keys/ is empty", async () => {
      const { name, repo, image, passphrase, state } = await fresh();
      for (const key of await place.keys(name, "keys/")) await place.remove(name, key);
      await place.put(name, "config.json", sealJson(newConfig(randomUUID())));
      const backup = ["backup", "--repo", repo, "--device", image];
      const byVariable = await run({ ...GIVEN, ...state }, ...backup);
      assert.match(failure(2, byVariable).message, /BLOCKFERRY_PASSPHRASE is given, but .* is not encrypted/);
      const byFile = await run({ ...NONE, ...state }, ...backup, "--passphrase-file", passphrase);
      assert.equal(failure(2, byFile).code, "Usage");
      const ofController = await controller(["points", "--repo", repo, "--json"], { ...GIVEN, ...state });
      assert.equal(failure(2, ofController).code, "Usage");
      await assertNothingInTheClear(name);
    });

    test("a key check of which one digit was changed ends the command, however the passphrase is given", async () => {
      const { name, repo, passphrase, state } = await fresh();
      const body = await bodyOf(name);
      const { keyCheck } = body.encryption;
      const changed = keyCheck.replace(/.$/, (digit: string) => (digit === "0" ? "1" : "0"));
      const encryption = { ...body.encryption, keyCheck: changed };
      await place.put(name, "config.json", sealJson({ ...body, encryption }));
      const list = ["list", "--repo", repo];
      const byVariable = await run({ ...GIVEN, ...state }, ...list);
      assert.equal(failure(3, byVariable).object, "config.json");
      const byFile = await run({ ...NONE, ...state }, ...list, "--passphrase-file", passphrase);
      assert.equal(failure(3, byFile).object, "config.json");
    });

    test("a pin is held by both programs, before any passphrase is used", fullDepthOnly, async () => {
      const { name, repo, state } = await fresh();
      const { id, encryption } = await bodyOf(name);
      const env = { ...GIVEN, ...state };
      for (const pin of [id, `${id}:${encryption.keyCheck}`]) {
        assert.equal((await run(env, "list", "--repo", repo, "--expect-repository", pin)).code, 0);
        const controlled = ["points", "--repo", repo];
        assert.equal((await controller(controlled, { ...env, BLOCKFERRY_EXPECT_REPOSITORY: pin })).code, 0);
      }
      for (const pin of [randomUUID(), `${id}:none`, `${id}:${"0".repeat(64)}`]) {
        for (const action of [["list"], ["key", "list"], ["prune"], ["verify"]]) {
          const args = [...action, "--repo", repo, "--expect-repository", pin];
          assert.equal(failure(1, await run({ ...NONE, ...state }, ...args)).code, "RepositoryMismatch");
        }
        const controlled = ["points", "--repo", repo, "--json"];
        const result = await controller(controlled, { ...env, BLOCKFERRY_EXPECT_REPOSITORY: pin });
        assert.equal(failure(1, result).code, "RepositoryMismatch");
      }
      const other = place.repo(nextName());
      await initEncrypted(other);
      const copy = ["copy", "--from", repo, "--to", other];
      const both = { ...env, BLOCKFERRY_FROM_PASSPHRASE: PASSPHRASE };
      for (const side of ["--expect-from", "--expect-to"]) {
        const result = await run(both, ...copy, side, randomUUID());
        assert.equal(failure(1, result).code, "RepositoryMismatch");
      }
      assert.equal((await run(both, ...copy, "--expect-from", id)).code, 0);
      assert.equal(failure(2, await run(env, "list", "--repo", repo, "--expect-repository=x")).code, "Usage");
    });

    test(
      "a config and keys that were replaced by another repository's are noticed after the first use",
      fullDepthOnly,
      async () => {
        const { name, repo, image, state } = await fresh();
        const env = { ...GIVEN, ...state };
        assert.equal((await run(env, "list", "--repo", repo)).code, 0);
        const original = await bodyOf(name);
        const other = nextName();
        await initEncrypted(place.repo(other));
        await replace(name, other);
        const backup = ["backup", "--repo", repo, "--device", image];
        const error = failure(1, await run(env, ...backup));
        assert.equal(error.code, "RepositoryChanged");
        const replaced = await bodyOf(name);
        assert.ok(error.message.includes(original.id) && error.message.includes(replaced.id), error.message);
        assert.match(error.remedy, /blockferry-agent trust reset --repo /);
        const ofController = await controller(["points", "--repo", repo, "--json"], env);
        assert.equal(failure(1, ofController).code, "RepositoryChanged");

        assert.equal((await run(env, "trust", "reset", "--repo", repo)).code, 0);
        assert.equal((await run(env, "list", "--repo", repo)).code, 0);
        const { stdout } = await run(env, "trust", "list");
        const [known] = JSON.parse(stdout).repositories;
        assert.deepEqual(
          [known.repository, known.encryption],
          [replaced.id, replaced.encryption.keyCheck],
          "the new one is known now",
        );
      },
    );

    test("a known repository is never downgraded, neither at its location nor under its id elsewhere", async () => {
      const { name, repo, state } = await fresh();
      const env = { ...NONE, ...state };
      assert.equal((await run({ ...GIVEN, ...state }, "list", "--repo", repo)).code, 0);
      const plain = sealJson(newConfig((await bodyOf(name)).id));
      const elsewhere = nextName();
      await place.put(elsewhere, "config.json", plain);
      assert.equal(
        failure(1, await run(env, "list", "--repo", place.repo(elsewhere))).code,
        "RepositoryChanged",
      );
      for (const key of await place.keys(name, "keys/")) await place.remove(name, key);
      await place.put(name, "config.json", plain);
      assert.equal(failure(1, await run(env, "list", "--repo", repo)).code, "RepositoryChanged");
    });

    test("an unencrypted repository is used at first sight; an init of this machine is known at once", async () => {
      const { state } = await machine();
      const env = { ...NONE, ...state };
      const [seen, made] = [place.repo(nextName()), nextName()];
      await initPlain(seen);
      assert.equal((await run(env, "list", "--repo", seen)).code, 0);
      const { stdout } = await run(env, "init", "--repo", place.repo(made));
      assert.match(JSON.parse(stdout).pin, /^[0-9a-f-]{36}:none$/);
      await place.put(made, "config.json", sealJson(newConfig(randomUUID())));
      assert.equal(failure(1, await run(env, "list", "--repo", place.repo(made))).code, "RepositoryChanged");
    });
  });
}
