import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { keyCheck } from "../../../../repository/encryption/aes-gcm.js";
import { newConfig } from "../../../../repository/format/config.js";
import type { Repository } from "../../../../repository/open/repository.js";
import { openStorage, parseStorageLocation } from "../../../../repository/storage/open-storage.js";
import { byDepth } from "../../../support/depth.js";
import { newKey } from "../../../support/encryption.js";
import { SeededRandom } from "../../../support/random.js";
import { memoryFolder } from "../../../support/temp-folder.js";
import { RandomRepository } from "./random-repository.js";

const REPOSITORIES = byDepth({ quick: 10, full: 1000 });

/** Repositories that are tested in parallel: half of their time they wait for files. */
const LANES = 3;

for (const mode of ["plain", "encrypted"] as const) {
  test(`on ${REPOSITORIES / 2} random ${mode} repositories, no prune, forget or repair costs a point that could be restored`, async () => {
    const folder = await memoryFolder();
    const seed = SeededRandom.fresh().seed;
    const tryRepository = async (number: number) => {
      const random = new SeededRandom(`${seed} ${mode} ${number}`);
      const repository = await makeRepository(join(folder, String(number)), mode);
      const subject = new RandomRepository(repository, random);
      await subject.backUp();
      for (let round = 0; round < 4; round++) {
        if (random.below(2) === 0) await subject.backUp();
        for (let harm = random.below(3); harm > 0; harm--) await subject.harm();
        const before = await subject.restorable();
        await subject.maintain();
        const after = new Set(await subject.restorable());
        const lost = before.filter((id) => !after.has(id) && !subject.forgotten.has(id));
        const told = `BLOCKFERRY_TEST_SEED=${seed}, repository ${number}\n${subject.story.join("\n")}`;
        assert.deepEqual(lost, [], told);
      }
      await rm(join(folder, String(number)), { recursive: true });
    };
    let next = 0;
    const runLane = async () => {
      while (next < REPOSITORIES / 2) await tryRepository(next++);
    };
    await Promise.all(Array.from({ length: LANES }, runLane));
  });
}

/** Passphrases and keys on disk do not matter here. */
async function makeRepository(path: string, mode: "plain" | "encrypted"): Promise<Repository> {
  const key = newKey();
  const location = { ...parseStorageLocation(path), ...(mode === "plain" ? {} : { key }) };
  const config = newConfig(key.repository, mode === "plain" ? undefined : keyCheck(key));
  return { config, storage: await openStorage(location), location };
}
