import assert from "node:assert/strict";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Party } from "../../../controller/aws/party.js";
import { timing } from "../../../controller/aws/poll.js";
import { Journal } from "../../../controller/run/journal.js";
import { readJournal } from "../../../controller/run/read-journals.js";
import { NO_DISPLAY, type Run, runSteps } from "../../../controller/run/runner.js";
import type { Step } from "../../../controller/steps/step.js";
import { BlockferryError } from "../../../foundation/errors.js";
import { requestCancel } from "../../../repository/jobs/job-replies.js";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { tempFolder } from "../../support/temp-folder.js";
import { waitUntil } from "../../support/wait-until.js";
import { planOf, UNSIGNED } from "../plans.js";

const NAMES = ["first", "second", "third"];

/** Makes steps that write files instead of resources, and a journal in a real repository folder. */
async function workshop() {
  const folder = await tempFolder();
  const world = join(folder, "world");
  await mkdir(world);
  const log: string[] = [];
  const storage = new LocalDirectory(join(folder, "repo"));
  const plan = planOf();
  const steps = NAMES.map((name) => fileStep(name, world, log));
  const party = { limitedTo: () => party } as unknown as Party;
  const base = {
    ...{ plan, storage, source: party, worker: party, signing: UNSIGNED },
    timing: timing({ BLOCKFERRY_HEARTBEAT_TIMEOUT_MS: "60", BLOCKFERRY_POLL_MS: "5" }),
  };
  const journal = await Journal.create(storage, plan, NAMES, UNSIGNED);
  const interrupt = new AbortController();
  const run: Run = { steps, journal, base, display: NO_DISPLAY, signal: interrupt.signal };
  const record = async () => {
    const found = await readJournal(storage, plan.jobId, UNSIGNED);
    assert.ok(found !== undefined);
    return found;
  };
  return { run, log, world, storage, plan, interrupt, record, step: (index: number) => steps[index] as Step };
}

function fileStep(name: string, world: string, log: string[]): Step {
  return {
    name,
    title: name,
    makes: "a file",
    uses: () => [],
    make: async () => {
      log.push(`make ${name}`);
      await writeFile(join(world, name), "");
      return {};
    },
    wait: async () => (name === NAMES.at(-1) ? { point: "20261124T120000Z-00000001" } : {}),
    undo: async () => {
      log.push(`undo ${name}`);
      await rm(join(world, name), { force: true });
    },
  };
}

const broken = () =>
  Promise.reject(new BlockferryError({ code: "AttachFailed", message: "It broke.", remedy: "Mend it." }));
const MADE = ["make first", "make second", "make third"];
const UNDONE = ["undo third", "undo second", "undo first"];

describe("the runner", () => {
  test("does the steps in order, undoes them in reverse, and returns the recovery point", async () => {
    const { run, log, record } = await workshop();
    assert.equal(await runSteps(run), "20261124T120000Z-00000001");
    assert.deepEqual(log, [...MADE, ...UNDONE]);
    const { state, steps } = await record();
    assert.equal(state, "finished");
    assert.deepEqual(new Set(steps.map((step) => step.state)), new Set(["undone"]));
  });

  for (const part of ["make", "wait"] as const) {
    for (const [index, name] of NAMES.entries()) {
      test(`undoes earlier steps when ${part} of the ${name} step fails`, async () => {
        const { run, log, world, record, step } = await workshop();
        step(index)[part] = broken;
        await assert.rejects(runSteps(run), { code: "AttachFailed" });
        assert.deepEqual(await readdir(world), []);
        const undone = log.filter((line) => line.startsWith("undo"));
        assert.deepEqual(undone, UNDONE.slice(NAMES.length - 1 - index));
        assert.equal((await record()).state, "finished");
      });
    }
  }

  test("undoes earlier steps when the journal can no longer be written", async (context) => {
    const { run, world, storage, step, record } = await workshop();
    const make = step(1).make;
    step(1).make = (...args) => {
      context.mock.method(storage, "put", broken);
      return make(...args);
    };
    await assert.rejects(runSteps(run), { code: "AttachFailed" });
    assert.deepEqual(await readdir(world), []);
    assert.equal((await record()).state, "running");
  });

  test("records in the journal that a step runs before it creates anything", async () => {
    const { run, record, step } = await workshop();
    let seen: string[] = [];
    step(1).make = async () => {
      seen = (await record()).steps.map(({ state }) => state);
      return {};
    };
    await runSteps(run);
    assert.deepEqual(seen, ["done", "running", "pending"]);
  });

  test("continues after the last finished step", async () => {
    const { run, log } = await workshop();
    await run.journal.update(({ steps: [first, second] }) => {
      Object.assign(first ?? {}, { state: "done" });
      Object.assign(second ?? {}, { state: "running" });
    });
    await runSteps({
      ...run,
      journal: await Journal.takeOver(run.base.storage, run.base.plan.jobId, 1000, UNSIGNED),
    });
    assert.deepEqual(log, [...MADE.slice(1), ...UNDONE]);
  });

  test("finishes the undoing of a run that died during it, and keeps its outcome", async () => {
    const { run, log, record, step } = await workshop();
    const undo = step(1).undo;
    step(1).undo = broken;
    await assert.rejects(runSteps(run), { code: "CleanupIncomplete" });
    assert.equal((await record()).state, "undoing");
    log.length = 0;
    step(1).undo = undo;
    assert.equal(await runSteps(run), "20261124T120000Z-00000001");
    assert.deepEqual(log, ["undo second"]);
    assert.equal((await record()).state, "finished");
  });

  test("ends with the reason of the interruption, and leaves nothing", async () => {
    const { run, world, interrupt, step } = await workshop();
    step(1).wait = async ({ signal }) => {
      interrupt.abort(
        new BlockferryError({ code: "Interrupted", message: "Interrupted.", remedy: "Again." }),
      );
      signal.throwIfAborted();
      return {};
    };
    await assert.rejects(runSteps(run), { code: "Interrupted" });
    assert.deepEqual(await readdir(world), []);
  });

  test("reports a recovery point that proves to be there after an interruption", async () => {
    const { run, world, interrupt, record, step } = await workshop();
    step(2).wait = async ({ signal }) => {
      interrupt.abort(
        new BlockferryError({ code: "Interrupted", message: "Interrupted.", remedy: "Again." }),
      );
      signal.throwIfAborted();
      return {};
    };
    step(2).findPoint = async () => "20261124T120000Z-00000002";
    assert.equal(await runSteps(run), "20261124T120000Z-00000002");
    assert.deepEqual(await readdir(world), []);
    const { outcome, made } = await record();
    assert.deepEqual(outcome, { ok: true, point: "20261124T120000Z-00000002" });
    assert.equal(made.point, "20261124T120000Z-00000002");
  });

  test("tries undoing again after longer and longer pauses", async () => {
    const { run, world, step } = await workshop();
    const { undo } = step(1);
    const tries: number[] = [];
    step(1).undo = async (context) => {
      tries.push(performance.now());
      return tries.length < 4 ? broken() : undo(context);
    };
    await runSteps(run);
    assert.deepEqual(await readdir(world), []);
    const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
    for (const [number, pause] of pauses.entries()) {
      assert.ok(pause >= run.base.timing.undoPauseMs * 3 ** number - 1, pauses.join(", "));
    }
  });

  test("passes undo the time until which created resources may not be visible", async () => {
    const { run, step } = await workshop();
    const waits: Record<string, number> = {};
    for (const index of [0, 1]) {
      const { name, undo } = step(index);
      step(index).undo = (context) => {
        waits[name] = context.visibleBy - performance.now();
        return undo(context);
      };
    }
    step(1).make = broken;
    await assert.rejects(runSteps(run), { code: "AttachFailed" });
    assert.ok((waits.first ?? 0) < 0, "the first step ended well");
    assert.ok((waits.second ?? 0) > run.base.timing.visibleMs / 2, "the second one has just failed");
  });

  test("ends when the job is cancelled in the repository", async () => {
    const { run, world, storage, plan, step } = await workshop();
    step(1).wait = async ({ signal }) => {
      await requestCancel(storage, plan.jobId);
      await waitUntil("the cancellation to be seen", () => signal.aborted);
      signal.throwIfAborted();
      return {};
    };
    await assert.rejects(runSteps(run), { code: "Cancelled" });
    assert.deepEqual(await readdir(world), []);
  });

  for (const [when, part] of [
    ["on the way forward", "wait"],
    ["on the way back", "undo"],
  ] as const) {
    test(`ends ${when} when another run takes the job over, and leaves all undoing to that one`, async () => {
      const { run, log, world, storage, plan, step, record } = await workshop();
      const original = step(1)[part] as () => Promise<object>;
      step(1)[part] = async () => {
        await Journal.takeOver(storage, plan.jobId, 1000, UNSIGNED);
        await waitUntil("the new journal to be seen", () => run.journal.lost.aborted);
        return original() as never;
      };
      await assert.rejects(runSteps(run), { code: "JobRunning", object: plan.jobId });
      const afterwards = log.slice(log.indexOf("make third") + 1);
      assert.deepEqual(
        afterwards,
        part === "wait" ? ["make first", "make second"] : ["undo third", "undo second"],
      );
      assert.ok((await readdir(world)).includes("first"));
      assert.notEqual((await record()).state, "finished");

      step(1)[part] = original as never;
      const journal = await Journal.takeOver(storage, plan.jobId, 1000, UNSIGNED);
      assert.equal(await runSteps({ ...run, journal }), "20261124T120000Z-00000001");
      assert.deepEqual(await readdir(world), []);
    });
  }
});
