import assert from "node:assert/strict";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type KeyProtection, listKeys } from "../../../repository/encryption/key-record.js";
import { addKey, removeKey, rotateKey } from "../../../repository/encryption/manage-keys.js";
import { newConfig } from "../../../repository/format/config.js";
import { sealJson } from "../../../repository/format/sealed-json.js";
import { initRepository, openRepository, type Repository } from "../../../repository/open/repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const CALLER = { profile: undefined };

/** Writes a passphrase to a new file, with a cheap scrypt cost. */
async function inFile(passphrase: string) {
  const path = join(await tempFolder(), "passphrase");
  await writeFile(path, `${passphrase}\n`, { mode: 0o600 });
  const source = { kind: "file", path } as const;
  return { source, protection: { kind: "passphrase", source, scryptN: 2 } satisfies KeyProtection };
}

async function encrypted() {
  const first = await inFile("the first passphrase");
  const path = await tempFolder();
  const repository = await initRepository(path, first.protection);
  const { key } = repository.location;
  assert.ok(key !== undefined);
  const open = (passphrase: { source: { kind: "file"; path: string } }): Promise<Repository> =>
    openRepository({ kind: "directory", path, passphrase: passphrase.source });
  return { ...repository, path, first, key, open };
}

describe("the keys of a repository", () => {
  test("open it each by itself, and a rotated or removed one no more", async () => {
    const { storage, path, first, key, open } = await encrypted();
    const second = await inFile("the second passphrase");
    const third = await inFile("the third passphrase");
    await storage.put("points/x.json", Buffer.from("secret"));
    const added = await addKey(storage, key, second.protection, CALLER);
    for (const passphrase of [first, second]) {
      assert.equal((await (await open(passphrase)).storage.get("points/x.json")).toString(), "secret");
    }
    const before = await readFile(join(path, "points/x.json"));
    const { removed } = await rotateKey(storage, key, added.id.slice(0, 9), third.protection, CALLER);
    assert.equal(removed, added.id);
    await assert.rejects(open(second), {
      code: "RepositoryLocked",
      message: /no.*passphrase does not open/i,
    });
    assert.equal((await (await open(third)).storage.get("points/x.json")).toString(), "secret");
    assert.deepEqual(await readFile(join(path, "points/x.json")), before, "no data were touched");
  });

  test("end with the last one, which stays", async () => {
    const { storage, key, first, open } = await encrypted();
    const { keys } = await listKeys(storage, key.repository);
    await assert.rejects(removeKey(storage, key, keys[0]?.id ?? ""), { code: "KeyNeeded" });
    await assert.rejects(removeKey(storage, key, "ffff"), { code: "KeyNotFound" });
    await open(first);
  });

  test("never all go, even when each of two is removed at the same moment", async () => {
    const { storage, key } = await encrypted();
    await addKey(storage, key, (await inFile("the second passphrase")).protection, CALLER);
    for (let round = 0; round < 20; round++) {
      const { keys } = await listKeys(storage, key.repository);
      await Promise.allSettled(keys.map(({ id }) => removeKey(storage, key, id)));
      const left = await listKeys(storage, key.repository);
      assert.ok(left.keys.length > 0);
      if (left.keys.length === 1) {
        await addKey(storage, key, (await inFile("another passphrase")).protection, CALLER);
      }
    }
  });

  test("that are damaged are named, do not affect other keys, and can be removed", async () => {
    const { storage, path, key, first, open } = await encrypted();
    const { id } = await addKey(storage, key, (await inFile("the second passphrase")).protection, CALLER);
    const damaged = join(path, `keys/${id}.json`);
    await writeFile(damaged, (await readFile(damaged, "utf8")).replace("passphrase", "passphrasf"));
    await open(first);
    const list = await listKeys(storage, key.repository);
    assert.deepEqual(
      list.damaged.map(({ object }) => object),
      [`keys/${id}.json`],
    );
    assert.equal(await removeKey(storage, key, id), id);
    assert.deepEqual(await readdir(join(path, "keys")), [`${list.keys[0]?.id}.json`]);
  });

  test("do not open another repository, though the passphrase is the same", async () => {
    const { path, first } = await encrypted();
    const other = await tempFolder();
    await initRepository(other, first.protection);
    const [key = ""] = await readdir(join(path, "keys"));
    const [otherKey = ""] = await readdir(join(other, "keys"));
    await rename(join(path, "keys", key), join(other, "keys", key));
    await openRepository({ kind: "directory", path: other, passphrase: first.source });
    await rename(join(other, "keys", otherKey), join(path, "keys", otherKey));
    await assert.rejects(openRepository({ kind: "directory", path: other, passphrase: first.source }), {
      code: "RepositoryLocked",
    });
  });

  test("fit the config: one that was replaced is named", async () => {
    const { path, first, open } = await encrypted();
    const config = join(path, "config.json");
    const intact = await readFile(config, "utf8");
    const { body } = JSON.parse(intact);
    await writeFile(
      config,
      sealJson({ ...body, encryption: { ...body.encryption, keyCheck: "0".repeat(64) } }),
    );
    await assert.rejects(open(first), { code: "ObjectCorrupt", object: "config.json" });
  });

  test("are not ignored because of a config that says that nothing is encrypted", async () => {
    const { path, first } = await encrypted();
    const config = join(path, "config.json");
    const { body } = JSON.parse(await readFile(config, "utf8"));
    await writeFile(config, sealJson(newConfig(body.id)));
    for (const passphrase of [{}, { passphrase: { kind: "prompt" } as const }]) {
      await assert.rejects(openRepository({ kind: "directory", path, ...passphrase }), {
        code: "ObjectCorrupt",
        object: "config.json",
      });
    }
    await assert.rejects(openRepository({ kind: "directory", path, passphrase: first.source }));
  });

  test("that opened the repository stay: nothing shows that another one would", async () => {
    const { storage, key, first, open } = await encrypted();
    const second = await inFile("the second passphrase");
    const added = await addKey(storage, key, second.protection, CALLER);
    const byFirst = await open(first);
    assert.ok(byFirst.location.key !== undefined);
    const { openedWith = "" } = byFirst.location.key;
    await assert.rejects(removeKey(storage, byFirst.location.key, openedWith), {
      code: "KeyNeeded",
      object: `keys/${openedWith}.json`,
    });
    assert.equal(await removeKey(storage, byFirst.location.key, added.id), added.id);
    await open(first);
  });

  test("are not made of a short passphrase, and an init that is refused leaves none", async () => {
    const path = await tempFolder();
    const short = await inFile("short");
    await assert.rejects(initRepository(path, short.protection), { code: "PassphraseUnavailable" });
    assert.deepEqual(await readdir(path), []);
    await initRepository(path);
    await assert.rejects(initRepository(path, (await inFile("long enough")).protection), {
      code: "RepositoryExists",
    });
    assert.deepEqual(await readdir(join(path, "keys")).catch(() => []), []);
  });
});
