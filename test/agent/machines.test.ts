import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { agent, agentJson } from "../support/agent.js";
import { openWithPassphrase } from "../support/encryption.js";
import { instanceOf, writeAsOf } from "../support/machines.js";
import { startNbd } from "../support/nbd-server.js";
import { SeededRandom } from "../support/random.js";
import { writeRandomFile } from "../support/random-files.js";
import { agentFails, backUp, newRepository } from "../support/repositories.js";
import { assertSameContent } from "../support/same-content.js";
import { tempFolder } from "../support/temp-folder.js";
import { needing } from "../support/tools.js";

const SHOP = "i-0aaaaaaaaaaaaaaa1";
const HERE = hostname();

interface Chosen {
  recoveryPoint: { id: string; machine: string; host: string; instance: string | null; ageSeconds: number };
}

describe("latest in a repository of several machines", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const other = join(folder, "other.img");
  let repo = "";
  let mine = "";
  let foreign: RecoveryPoint;
  before(async () => {
    const random = SeededRandom.fresh();
    await writeRandomFile(image, 3_000_001, random);
    await writeRandomFile(other, 2_000_000, random);
    repo = await newRepository(folder);
    mine = (await backUp(repo, `${image}=disk`)).point;
    await backUp(repo, `${other}=disk`);
    const repository = await openWithPassphrase(repo);
    await writeAsOf(repository, { instance: instanceOf(SHOP), hostname: "worker", tags: { env: "prod" } });
    const { points } = await agentJson<{ points: RecoveryPoint[] }>("list", "--repo", repo);
    await agentJson("forget", points[1]?.id ?? "", "--repo", repo);
    foreign = points[2] as RecoveryPoint;
  });

  const commands = (name: string, ...args: string[]): string[][] => [
    ["restore", "--repo", repo, "--point", "latest", "--target", join(folder, `${name}.img`), ...args],
    ["nbd", "--repo", repo, "--point", "latest", "--listen", `unix:${folder}/${name}.sock`, ...args],
    ["export", join(folder, `${name}.raw`), "--repo", repo, "--point", "latest", "--format", "raw", ...args],
    ["show", "latest", "--repo", repo, ...args],
    ["verify", "--repo", repo, "--point", "latest", ...args],
    ["copy", "latest", "--from", repo, "--to", join(folder, "copies"), ...args],
  ];

  test(
    "is refused by every command, names each machine, and nothing is written",
    needing("qemu-img"),
    async () => {
      await newRepository(folder, "copies");
      for (const args of commands("refused")) {
        const error = await agentFails(1, ...args);
        assert.equal(error.code, "PointAmbiguous", args[0]);
        assert.deepEqual(error.details, [`instance ${SHOP}: ${foreign.id}`, `host ${HERE}: ${mine}`]);
        assert.match(error.remedy, /--instance ID or --host NAME/);
      }
      for (const end of ["img", "sock", "raw"]) await assert.rejects(stat(join(folder, `refused.${end}`)));
    },
  );

  test(
    "is the newest point of the machine that an option names, and the output names the machine",
    needing("qemu-img"),
    async () => {
      const ways = [
        { name: "host", options: ["--host", HERE], id: mine, content: image, machine: `host ${HERE}` },
        {
          name: "instance",
          options: ["--instance", SHOP],
          id: foreign.id,
          content: other,
          machine: `instance ${SHOP}`,
        },
        {
          name: "tag",
          options: ["--tag", "env=prod"],
          id: foreign.id,
          content: other,
          machine: `instance ${SHOP}`,
        },
      ];
      for (const { name, options, id, content, machine } of ways) {
        const [restore = [], nbd = [], exported = [], show = [], verify = [], copy = []] = commands(
          name,
          ...options,
        );
        for (const args of [restore, exported, verify]) {
          const { recoveryPoint } = await agentJson<Chosen>(...args);
          assert.equal(recoveryPoint.id, id);
          assert.equal(recoveryPoint.machine, machine);
          assert.ok(recoveryPoint.ageSeconds >= 0 && recoveryPoint.ageSeconds < 600);
        }
        await assertSameContent(join(folder, `${name}.img`), content);
        await assertSameContent(join(folder, `${name}.raw`), content);
        assert.equal((await agentJson(...show)).id, id);
        assert.equal((await agentJson(...show)).machine, machine);
        const { recoveryPoints } = await agentJson<{ recoveryPoints: Chosen["recoveryPoint"][] }>(...copy);
        assert.deepEqual(
          recoveryPoints.map(({ machine }) => machine),
          [machine],
        );
        await assertServes(nbd, id, machine);
      }
      const restored = join(folder, "text.img");
      const args = ["--repo", repo, "--point", "latest", "--host", HERE, "--target", restored];
      const { stdout, stderr } = await agent("restore", ...args);
      assert.match(stdout, new RegExp(`of host ${HERE}, [0-9.hms]+ old`));
      assert.match(stderr, new RegExp(`note: latest is recovery point ${mine} of host ${HERE}, `));
    },
  );

  test("no option is needed for a volume that points of one machine alone have", async () => {
    const single = await newRepository(folder, "volumes");
    await backUp(single, `${other}=other`);
    await writeAsOf(await openWithPassphrase(single), { hostname: "web1" }, 60);
    const { point } = await backUp(single, `${image}=disk`);
    const shown = await agentJson("show", "latest", "--repo", single, "--volume", "disk");
    assert.equal(shown.id, point);
    assert.equal(
      (await agentFails(1, "show", "latest", "--repo", single, "--volume", "other")).code,
      "PointAmbiguous",
    );
    assert.equal(
      (await agentFails(1, "show", "latest", "--repo", single, "--volume", "no")).code,
      "PointNotFound",
    );
  });

  test("a list, a copy and rules for forgetting take the same options", async () => {
    const ids = async (...args: string[]) =>
      (await agentJson<{ points: RecoveryPoint[] }>("list", "--repo", repo, ...args)).points.map(
        ({ id }) => id,
      );
    assert.deepEqual(await ids("--host", HERE), [mine]);
    assert.deepEqual(await ids("--instance", SHOP), [foreign.id]);
    assert.deepEqual(await ids("--tag", "env=prod", "--volume", "disk"), [foreign.id]);
    assert.deepEqual(await ids("--host", "worker"), []);
    const to = await newRepository(folder, "some");
    const { copied } = await agentJson<{ copied: string[] }>(
      "copy",
      "--from",
      repo,
      "--to",
      to,
      "--host",
      HERE,
    );
    assert.deepEqual(copied, [mine]);
    const rules = ["forget", "--repo", repo, "--keep-last", "1", "--dry-run"];
    const { groups } = await agentJson<{ groups: { name: string }[] }>(...rules, "--instance", SHOP);
    assert.deepEqual(
      groups.map(({ name }) => name),
      [SHOP],
    );
    assert.equal((await agentFails(2, "verify", "--repo", repo, "--host", HERE)).code, "Usage");
  });
});

async function assertServes([, ...args]: string[], id: string, machine: string): Promise<void> {
  const nbd = await startNbd(...args);
  assert.deepEqual([nbd.point, nbd.recoveryPoint.machine], [id, machine]);
  await nbd.stop();
}
