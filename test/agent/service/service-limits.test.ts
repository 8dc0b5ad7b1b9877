import assert from "node:assert/strict";
import { totalmem } from "node:os";
import { describe, test } from "node:test";
import { expectedMemoryBytes } from "../../../agent/tune/advise.js";
import { CIPHERTEXT_BYTES } from "../../../repository/encryption/aes-gcm-cipher.js";
import { agent, agentJson, startAgent } from "../../support/agent.js";

describe("the limits of a service", () => {
  test("have as many I/O threads as all volumes can keep busy, besides those for all else", async () => {
    const { ioThreads } = await agentJson<{ ioThreads: number }>("limits", "--volumes=40", "--threads=4");
    assert.equal(ioThreads, 40 * 16 + 8 + 4 * 4);
  });

  test("never have more I/O threads than Node takes, nor fewer than the agent takes itself", async () => {
    const limits = async (poolSize: string, volumes: number) => {
      const run = startAgent(["limits", `--volumes=${volumes}`, "--json"], { UV_THREADPOOL_SIZE: poolSize });
      return JSON.parse((await run.result).stdout).ioThreads;
    };
    assert.equal(await limits("128", 128), 1024);
    assert.equal(await limits("700", 1), 700);
  });

  test("let a job with the given threads take the memory of the formula, and never the whole machine", async () => {
    const memoryOf = async (data: string) => {
      const options = ["--volumes=27", "--threads=8", `--data=${data}`];
      return (await agentJson<{ memoryBytes: number }>("limits", ...options)).memoryBytes;
    };
    const size = {
      threads: 8,
      queueDepth: (27 * 16) / 8,
      partBytes: 8 * 2 ** 20,
      cipherBytes: CIPHERTEXT_BYTES,
    };
    const neededBytes = expectedMemoryBytes({ ...size, sourceBytes: 2 ** 40 });
    assert.equal(await memoryOf("1T"), Math.ceil(Math.min(neededBytes, totalmem() * 0.9)));
    assert.equal(await memoryOf("100000T"), Math.ceil(totalmem() * 0.9));
  });

  test("are refused for impossible machines", async () => {
    for (const option of ["--volumes=0", "--volumes=129", "--data=much", "--threads=0"]) {
      assert.equal((await agent("limits", option)).code, 2, option);
    }
  });
});
