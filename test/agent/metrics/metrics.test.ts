import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { emfLines } from "../../../agent/metrics/emf.js";
import { prometheusText } from "../../../agent/metrics/prometheus.js";
import type { RunRecord } from "../../../agent/metrics/run-record.js";
import { requestCancel } from "../../../repository/jobs/job-replies.js";
import { FIXTURES } from "../../fixtures/fixtures.js";
import { AGENT, agent } from "../../support/agent.js";
import { jobVolume } from "../../support/jobs.js";
import { prometheusFamilies } from "../../support/prometheus-families.js";
import { PYTHON } from "../../support/python.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { newRepository } from "../../support/repositories.js";
import { runTool } from "../../support/run-tool.js";
import { ServedRepository } from "../../support/served-repository.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const EMPTY_RUN: RunRecord = {
  ...{ command: "backup", startedAt: new Date(0), endedAt: new Date(1), errorCode: undefined },
  ...{ figures: {}, volumes: [] },
};

describe("metrics", async () => {
  const folder = await tempFolder();
  const image = join(folder, "disk.img");
  const metricsFile = join(folder, "collector", "blockferry.prom");
  const emfFile = join(folder, "metrics.log");
  const options = ["--metrics-file", metricsFile, "--emf-file", emfFile];
  let repo: string;
  before(async () => {
    await mkdir(join(folder, "collector"));
    repo = await newRepository(folder);
    await writeRandomFile(image, 3 * MIB, SeededRandom.fresh());
  });
  const text = () => readFile(metricsFile, "utf8");

  test("of a backup, a restore, a verification and a prune are read by Prometheus' own reader, in bytes", async () => {
    const runs: [string[], string][] = [
      [["backup", "--device", `${image}=root`], 'run_read_bytes{command="backup"} 3145728'],
      [
        ["restore", "--point", "latest", "--target", join(folder, "out.img")],
        'run_lost_bytes{command="restore"} 0',
      ],
      [["verify", "--read-data"], 'run_problems{command="verify"} 0'],
      [["prune"], 'run_removed_bytes{command="prune"} 0'],
    ];
    for (const [[command = "", ...args], line] of runs) {
      const { code, stderr } = await agent(command, "--repo", repo, ...args, ...options);
      assert.equal(code, 0, stderr);
      await prometheusFamilies(await text());
      assert.ok((await text()).includes(`blockferry_${line}\n`), `${line} in\n${await text()}`);
      assert.match(await text(), new RegExp(`blockferry_run_success\\{command="${command}"\\} 1\n`));
    }
    assert.deepEqual(
      await readdir(join(folder, "collector")),
      ["blockferry.prom"],
      "no temporary file stays",
    );
  });

  test("of a second backup separate unchanged chunks from other known ones, except for block maps", async () => {
    const { code, stderr } = await agent("backup", "--repo", repo, "--device", `${image}=root`, ...options);
    assert.equal(code, 0, stderr);
    const figure = async (name: string) =>
      Number(new RegExp(`^blockferry_run_${name}_bytes.* (\\d+)$`, "m").exec(await text())?.[1]);
    assert.equal(await figure("unchanged"), 3 * MIB);
    assert.equal((await figure("unchanged")) + (await figure("deduplicated")), await figure("duplicate"));
  });

  test("of a run that failed name the error, and keep when it last succeeded", async () => {
    const [success] =
      /blockferry_last_success_timestamp_seconds\{command="backup"\} .*/.exec(await text()) ?? [];
    assert.ok(success !== undefined);
    const { code } = await agent("backup", "--repo", repo, "--device", join(folder, "none"), ...options);
    assert.equal(code, 1);
    await prometheusFamilies(await text());
    assert.match(await text(), /blockferry_run_success\{command="backup"\} 0\n/);
    assert.match(await text(), /blockferry_run_error_info\{command="backup",code="SourceNotFound"\} 1\n/);
    assert.ok((await text()).includes(`${success}\n`));
  });

  test("of a service count its jobs, with the instance of each", async () => {
    const served = await ServedRepository.open(repo);
    await served.addJob([jobVolume(0, MIB)]);
    const nowhere = ["--sysfs", folder, "--dev", folder, "--device-timeout", "0.1"];
    const { code } = await served.serveOnce([...options, ...nowhere]);
    assert.equal(code, 1);
    await prometheusFamilies(await text());
    assert.match(await text(), /blockferry_serve_jobs_total\{outcome="failed"\} 1\n/);
    assert.match(await text(), /run_success\{command="backup",instance_id="i-[0-9a-f]+"\} 0\n/);
  });

  test("of a service also count jobs that it refuses and that were cancelled before they started, by their errors", async () => {
    const served = await ServedRepository.open(await newRepository(await tempFolder()));
    await served.addJob([jobVolume(0, MIB)], { expiresAt: new Date(0).toISOString() });
    for (const _ of ["one", "another"]) {
      const { id } = await served.addJob([jobVolume(0, MIB)]);
      await requestCancel(served.repository.storage, id);
    }
    const { code } = await served.serveOnce(options);
    assert.equal(code, 1);
    await prometheusFamilies(await text());
    for (const line of [
      'jobs_total{outcome="succeeded"} 0',
      'jobs_total{outcome="failed"} 3',
      'job_errors_total{code="JobOutdated"} 1',
      'job_errors_total{code="Cancelled"} 2',
    ]) {
      assert.ok((await text()).includes(`blockferry_serve_${line}\n`), `${line} in\n${await text()}`);
    }
    assert.doesNotMatch(
      await text(),
      /command="serve"/,
      "which would look like a failure until the service ends",
    );
    const lines = (await readFile(emfFile, "utf8")).trim().split("\n").slice(-3);
    const documents = lines.map((line) => JSON.parse(line) as EmfDocument);
    for (const { Command, Failed } of documents) assert.deepEqual([Command, Failed], ["serve", 1]);
    const errors = documents.map(({ ErrorCode }) => ErrorCode);
    assert.deepEqual(errors.sort(), ["Cancelled", "Cancelled", "JobOutdated"]);
  });

  test("in the embedded metric format satisfy the schema of AWS, every line of them", async () => {
    const lines = (await readFile(emfFile, "utf8")).trim().split("\n");
    assert.ok(lines.length >= 7, "runs, and the volumes of backup and restore");
    const schema = join(FIXTURES, "emf-schema.json");
    const script =
      "import json, sys, jsonschema\nschema = json.load(open(sys.argv[1]))\nfor line in open(sys.argv[2]): jsonschema.validate(json.loads(line), schema)";
    await runTool(PYTHON, "-c", script, schema, emfFile);
    for (const line of lines) assertTargetsAreThere(JSON.parse(line) as EmfDocument);
    const failed = lines.map((line) => JSON.parse(line) as EmfDocument).find(({ Failed }) => Failed === 1);
    assert.equal(failed?.ErrorCode, "SourceNotFound");
  });

  test("can be read by everyone, whatever the umask, and keep the mode of existing files", async () => {
    const places = [join(folder, "modes.prom"), join(folder, "modes.log")] as const;
    const [prometheus, emf] = places;
    const verify = ["verify", "--repo", repo, "--metrics-file", prometheus, "--emf-file", emf];
    const modes = () => Promise.all(places.map(async (path) => (await stat(path)).mode & 0o777));
    await runTool("sh", "-c", 'umask 077; exec "$@"', "sh", process.execPath, AGENT, ...verify);
    assert.deepEqual(await modes(), [0o644, 0o644]);
    for (const path of places) await chmod(path, 0o640);
    assert.equal((await agent(...verify)).code, 0);
    assert.deepEqual(await modes(), [0o640, 0o640]);
  });

  test("that cannot be written do not fail the run, and a note names each file; the other one is written", async () => {
    const nowhere = join(image, "no-folder");
    for (const [option, other] of [
      ["--metrics-file", "--emf-file"],
      ["--emf-file", "--metrics-file"],
    ] as const) {
      const written = join(folder, `beside${option}`);
      const { code, stderr } = await agent("verify", "--repo", repo, option, nowhere, other, written);
      assert.equal(code, 0);
      assert.match(stderr, /note: Metrics cannot be written to .*no-folder: ENOTDIR/);
      assert.match(await readFile(written, "utf8"), /verify/);
    }
    const both = ["--metrics-file", nowhere, "--emf-file", `${nowhere}.log`];
    const { stderr } = await agent("verify", "--repo", repo, ...both);
    assert.equal(stderr.match(/note: Metrics cannot be written/g)?.length, 2, stderr);
  });

  test("and reports that a service cannot write are named when it starts", async () => {
    const served = await ServedRepository.open(await newRepository(await tempFolder()));
    const nowhere = join(folder, "none", "file");
    const lost = ["--metrics-file", nowhere, "--emf-file", `${nowhere}.log`, "--report-folder", nowhere];
    const { code, stdout } = await served.serveOnce(lost);
    assert.equal(code, 0, stdout);
    const codes = [...stdout.matchAll(/"code":"(\w+)"/g)].map(([, found]) => found);
    assert.deepEqual(codes.sort(), ["MetricsNotWritable", "MetricsNotWritable", "ReportNotWritable"]);
    const fine = ["--metrics-file", metricsFile, "--emf-file", emfFile, "--report-folder", folder];
    const before = await readdir(folder);
    assert.doesNotMatch((await served.serveOnce(fine)).stdout, /NotWritable/);
    assert.deepEqual(await readdir(folder), before, "nothing is left of the try");
  });

  test("survive names with every special character of the format", async () => {
    const record: RunRecord = {
      ...EMPTY_RUN,
      volumes: [{ name: 'a"b\\c\nd{}=,é', sizeBytes: 1, unreadableBytes: 0 }],
    };
    const families = await prometheusFamilies(prometheusText([record], new Map()));
    const size = families.find((family) => family.name === "blockferry_volume_size_bytes");
    assert.deepEqual(
      size?.samples.map(({ labels }) => labels),
      [{ command: "backup", volume: record.volumes[0]?.name }],
    );
  });

  test("of volumes with different names have different dimensions, which are ASCII", () => {
    const names = ["数据.img", "系统.img", "a b.img", "50%.img", "50%25.img", "\u0007", "??.img"];
    const volumes = names.map((name) => ({ name, sizeBytes: 1, unreadableBytes: 0 }));
    const [, ...lines] = emfLines({ ...EMPTY_RUN, volumes });
    const values = lines.map((line) => String((JSON.parse(line) as EmfDocument).Volume));
    assert.equal(new Set(values).size, names.length, values.join());
    for (const value of values) assert.match(value, /^[\x20-\x7e]+$/);
    assert.deepEqual(values.map(decodeURIComponent), names);
  });

  for (const [what, broken] of [
    ["a quote that is not escaped", 'a_b{c="d"e"} 1\n'],
    [
      "one family twice",
      "# HELP a_b C.\n# TYPE a_b gauge\na_b 1\n# HELP a_c C.\n# TYPE a_c gauge\na_c 1\na_b 2\n",
    ],
    ["no type", "a_b 1\n"],
  ] as const) {
    test(`with ${what} would be refused here`, async () => {
      await assert.rejects(prometheusFamilies(broken));
    });
  }
});

type EmfDocument = Record<string, unknown> & {
  _aws: { CloudWatchMetrics: { Dimensions: string[][]; Metrics: { Name: string }[] }[] };
};

/**
 * Checks the rules that the specification states in words: targets exist, dimensions are strings, metrics are
 * numbers, at most 100 of them.
 */
function assertTargetsAreThere(document: EmfDocument): void {
  for (const { Dimensions, Metrics } of document._aws.CloudWatchMetrics) {
    for (const name of Dimensions.flat()) assert.equal(typeof document[name], "string", name);
    for (const { Name } of Metrics) assert.equal(typeof document[Name], "number", Name);
    assert.ok(Metrics.length <= 100);
  }
}
