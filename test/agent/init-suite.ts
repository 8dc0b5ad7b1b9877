import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { OWNER_TOKEN } from "../../foundation/owner-token.js";
import { sealJson } from "../../repository/format/sealed-json.js";
import { initRepository } from "../../repository/open/repository.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";
import { PASSPHRASE } from "../support/encryption.js";
import { agentFails } from "../support/repositories.js";
import type { RepositoryPlace } from "../support/repository-places.js";

const KEY = "keys/0123456789abcdef.json";
const TEMP = `tmp/${OWNER_TOKEN}@0123456789abcdef`;

const PROTECTION = {
  kind: "passphrase",
  source: { kind: "environment", variable: "TEST_INIT_PASSPHRASE" },
  scryptN: 2,
} as const;

/** Tests which places `init` accepts, for each kind of storage. */
export function testInit(place: RepositoryPlace): void {
  process.env.TEST_INIT_PASSPHRASE = PASSPHRASE;
  describe(`init in ${place.name}`, () => {
    async function placeWith(objects: Record<string, Buffer>): Promise<string> {
      const name = `init-${randomBytes(4).toString("hex")}`;
      for (const [key, body] of Object.entries(objects)) await place.put(name, key, body);
      return name;
    }
    const initPlain = (name: string) => initRepository(parseStorageLocation(place.repo(name)));
    const initEncrypted = (name: string) =>
      initRepository(parseStorageLocation(place.repo(name)), PROTECTION);

    const foreign = [
      "thesis.odt",
      "tmp/thesis.odt",
      "tmp/x@y",
      `tmp/${OWNER_TOKEN}@0123456789abcdeF`,
      `tmp/${OWNER_TOKEN}@0123456789abcdef.bak`,
      `tmp/sub/${OWNER_TOKEN}@0123456789abcdef`,
      "points/20261123T112150Z-3f9a1c2b.json",
      "packs/3f/3f000000000000000000000000000000",
      "keys/notes.txt",
      KEY,
      "a name with spaces/deep/file",
    ];
    for (const key of foreign) {
      test(`refuses a place that holds ${key.replace(OWNER_TOKEN, "OWNER")}, names it and changes nothing`, async () => {
        const name = await placeWith({ [key]: Buffer.from("not blockferry's") });
        for (const init of [initPlain, initEncrypted])
          await assert.rejects(init(name), (error: Error & { code: string }) => {
            assert.equal(error.code, "PlaceNotEmpty");
            assert.ok(error.message.includes(key), error.message);
            return true;
          });
        assert.deepEqual(await place.keys(name, ""), [key]);
      });
    }

    test("names some of many objects, and how many more there are", async () => {
      const names = Array.from({ length: 12 }, (_, number) => [`file-${number}`, Buffer.from("x")]);
      const name = await placeWith(Object.fromEntries(names));
      const { code, message } = await agentFails(1, "init", "--repo", place.repo(name));
      assert.equal(code, "PlaceNotEmpty");
      assert.match(message, /(file-\d+, ){4}file-\d+ and 7 more/);
    });

    test("continues after an init that was interrupted", async () => {
      await initPlain(await placeWith({ [TEMP]: Buffer.alloc(0), [`${TEMP}-Proof.json`]: Buffer.alloc(9) }));
      const interrupted = await placeWith({});
      await initEncrypted(interrupted);
      await place.remove(interrupted, "config.json");
      await assert.rejects(initPlain(interrupted), { code: "PlaceNotEmpty" });
      await initEncrypted(interrupted);
      assert.equal((await place.keys(interrupted, "keys/")).length, 2);
    });

    test("does not take a sealed document with the name of a key for a key", async () => {
      const name = await placeWith({ [KEY]: sealJson({ version: 1, id: randomUUID() }) });
      await assert.rejects(initEncrypted(name), { code: "PlaceNotEmpty" });
    });

    test("reports that a repository already exists, whatever else is there", async () => {
      const name = await placeWith({});
      await initPlain(name);
      await place.put(name, "thesis.odt", Buffer.from("x"));
      for (const init of [initPlain, initEncrypted])
        await assert.rejects(init(name), { code: "RepositoryExists" });
    });
  });
}
