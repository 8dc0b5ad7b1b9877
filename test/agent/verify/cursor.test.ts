import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { type VerifyOptions, verify } from "../../../agent/verify/verify.js";
import { BlockferryError } from "../../../foundation/blockferry-error.js";
import { openRepository, type Repository } from "../../../repository/repository.js";
import { readVerifyCursor } from "../../../repository/verify-cursor.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { agentFails, backUp, filesBelow, newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;

describe("the cursor of samples", async () => {
  const folder = await tempFolder();
  let repo = "";
  before(async () => {
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 2 * MIB, new SeededRandom("cursor"));
    repo = await newRepository(folder);
    await backUp(repo, image);
  });

  /** Reads half of the packs; `beforeReading` is done when the index is read and nothing else. */
  function sampleHalf(repository: Repository, { notices = [], ...options }: SampleOptions = {}) {
    return verify(repository, {
      ...{ point: undefined, readPercent: 50, threads: 1, signal: new AbortController().signal },
      watcher: {
        start: () => options.beforeReading?.(),
        stop: () => undefined,
        notice: (message) => notices.push(message),
      },
      ...options,
    });
  }

  interface SampleOptions extends Partial<VerifyOptions> {
    beforeReading?: () => void;
    notices?: string[];
  }

  test("does not move when the run is interrupted, or taken for dead", async () => {
    const repository = await openRepository(repo);
    const interrupt = new AbortController();
    const interrupted = sampleHalf(repository, {
      signal: interrupt.signal,
      beforeReading: () => interrupt.abort(),
    });
    await assert.rejects(interrupted, { code: "Interrupted" });
    const get = repository.storage.get.bind(repository.storage);
    repository.storage.get = async (key, options) => {
      if (key.startsWith("index/"))
        for (const lease of await filesBelow(join(repo, "locks"))) await rm(lease);
      return get(key, options);
    };
    await assert.rejects(sampleHalf(repository), { code: "LeaseLost" });
    assert.equal(await readVerifyCursor((await openRepository(repo)).storage), undefined);
  });

  test("stays where it is, with a note, when it cannot be written; the report is there all the same", async () => {
    const repository = await openRepository(repo);
    const put = repository.storage.put.bind(repository.storage);
    repository.storage.put = async (key, body, options) => {
      if (key.startsWith("verify/")) {
        throw new BlockferryError({ code: "StorageDenied", message: "not allowed", remedy: "allow it" });
      }
      return put(key, body, options);
    };
    const notices: string[] = [];
    const report = await sampleHalf(repository, { notices });
    assert.ok(report.packsRead >= 1);
    assert.deepEqual(report.problems, []);
    assert.match(notices.join(), /next sample begins where this one did/);
    assert.equal(await readVerifyCursor(repository.storage), undefined);
  });

  test("is moved by two runs at once as by one, or by both", async () => {
    const repository = await openRepository(repo);
    await Promise.all([sampleHalf(repository), sampleHalf(repository)]);
    await Promise.all([sampleHalf(repository), sampleHalf(repository)]);
    const cursor = await readVerifyCursor(repository.storage);
    assert.notEqual(cursor?.readSince, null, "two runs of a half each have read all");
  });

  test("is not for samples of one point", async () => {
    const error = await agentFails(2, "verify", "--repo", repo, "--point=latest", "--read-data=50");
    assert.equal(error.code, "Usage");
  });
});
