import { mkdtemp, rm, stat } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import yargs from "yargs";
import { checkWholeNumber, usage } from "../../command-line/options.js";
import { exitCodeOf, printError } from "../../command-line/output.js";
import { asBlockferryError } from "../../foundation/errors.js";
import { BlockSource } from "../../native-free-io/block-source.js";
import { ReportFile } from "../../report/page.js";
import { print } from "../report.js";
import { cold } from "../tools.js";
import { warm } from "./device-tools.js";
import { measureDevice } from "./measure-device.js";
import { ownPlaces } from "./own-place.js";
import { benchPage } from "./page.js";

const PROGRAM = "npm run bench:ec2 --";

const options = await yargs(process.argv.slice(2))
  .scriptName(PROGRAM)
  .options({
    device: { type: "string", demandOption: true, describe: "Device to back up; it is only read" },
    repo: {
      type: "string",
      demandOption: true,
      describe: "Folder or s3://BUCKET/PREFIX, below which repositories are made and removed again",
    },
    region: { type: "string", describe: "Region of the bucket" },
    "endpoint-url": { type: "string", describe: "URL of a server other than AWS" },
    "force-path-style": { type: "boolean", default: false, describe: "Address the bucket by path" },
    "restore-to": {
      type: "string",
      describe:
        "Device, which is OVERWRITTEN, or new file for restores  [default: a file in the work folder]",
    },
    report: { type: "string", default: "bench-ec2.html", describe: "HTML file for the report" },
    rounds: { type: "number", default: 3, describe: "Rounds; medians count" },
    threads: { type: "number", array: true, describe: "Threads to try  [default: 1, half the cores, all]" },
    "queue-depths": { type: "number", array: true, describe: "Reads in flight to try  [default: 4 16 64]" },
    "work-dir": { type: "string", default: tmpdir(), describe: "Folder for caches and restored files" },
    small: { type: "boolean", default: false, describe: "One round, short and with few steps: a try" },
  })
  .strict()
  .parseAsync();

try {
  await benchmark();
} catch (thrown) {
  const error = asBlockferryError(thrown);
  printError(error, { program: PROGRAM, json: false, verbose: error.code === "Unexpected" });
  process.exitCode = exitCodeOf(error);
}

/** Measures, writes the report, and removes everything else. */
async function benchmark(): Promise<void> {
  refuseNumbers();
  const cores = availableParallelism();
  const steps = options.small
    ? { measuring: warm, rounds: 1, queueDepths: [4, 16], fioDepths: [1, 16], fioSeconds: 1, tuneSeconds: 2 }
    : {
        measuring: cold,
        rounds: options.rounds,
        queueDepths: [4, 16, 64],
        fioDepths: [1, 4, 16, 64],
        fioSeconds: 10,
        tuneSeconds: 30,
      };
  await refuseDevices();
  const report = await ReportFile.prepare(options.report);
  const places = await ownPlaces(options);
  const workFolder = await mkdtemp(join(resolve(options.workDir), "blockferry-bench-"));
  process.env.BLOCKFERRY_STATE_DIR = join(workFolder, "state");
  const removeAll = async () => {
    await places.remove();
    await rm(workFolder, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => void removeAll().finally(() => process.exit(130)));
  print(`repositories: ${places.name}, which is removed at the end`);
  try {
    const figures = await measureDevice({
      ...steps,
      ...{ device: options.device, places, repository: options.repo, workFolder },
      target: options.restoreTo ?? join(workFolder, "restored"),
      threads: options.threads ?? [...new Set([1, Math.ceil(cores / 2), cores])],
      queueDepths: options.queueDepths ?? steps.queueDepths,
    });
    await report.write(benchPage(figures));
    print(`report: ${options.report}`);
  } finally {
    await removeAll();
  }
}

/** @throws Usage */
function refuseNumbers(): void {
  checkWholeNumber("rounds", options.rounds, 1, 100);
  for (const threads of options.threads ?? []) checkWholeNumber("threads", threads, 1, 128);
  for (const depth of options.queueDepths ?? []) checkWholeNumber("queue-depths", depth, 1, 256);
}

/**
 * Refuses to overwrite an existing file or the measured device.
 * A file may be valuable; a device to be overwritten is named on purpose.
 * @throws Usage, SourceNotFound, SourceUnreadable
 */
async function refuseDevices(): Promise<void> {
  const { device, restoreTo } = options;
  await (await BlockSource.open(device)).close();
  if (restoreTo === undefined) return;
  const found = await stat(restoreTo).catch(() => undefined);
  if (found?.isFile()) {
    throw usage(
      `--restore-to ${restoreTo} is a file that is there already.`,
      "Name a new file, or a device.",
    );
  }
  const isSame = found?.isBlockDevice() && found.rdev === (await stat(device)).rdev;
  if (isSame) {
    throw usage(
      `--restore-to ${restoreTo} is the device that is to be backed up.`,
      "Name another one: it is overwritten.",
    );
  }
}
