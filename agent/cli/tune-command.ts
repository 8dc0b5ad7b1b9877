import type { Argv } from "yargs";
import { formatBytes, formatTable } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { once, repeated, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/open/repository.js";
import type { SpeedAt } from "../tune/advise.js";
import { type Tuning, tune } from "../tune/tune.js";
import type { AgentOutput } from "./outputs.js";

interface TuneArguments extends Omit<StorageArguments, "repo"> {
  repo: string | undefined;
  device: string[];
  seconds: number;
  json: boolean;
}

export const tuneCommand: Command<TuneArguments> = {
  command: "tune",
  describe: "Measure devices, cores and the path to the repository, and recommend options for backups",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        repo: {
          ...storageOptions.repo,
          demandOption: false,
          describe: "Repository for test uploads, which are removed again  [default: no uploads]",
        },
        device: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          coerce: repeated("device"),
          describe: "PATH of a device or file, which is only read; may be repeated",
        },
        seconds: {
          type: "number",
          default: 15,
          requiresArg: true,
          coerce: once("seconds"),
          describe: "About how long to measure",
        },
      })
      .example(
        "$0 tune --device /dev/nvme1n1 --repo s3://my-backups/fleet-a",
        "on a worker with a volume to back up",
      ) as unknown as Argv<TuneArguments>,
  handler: async ({ repo, json, ...args }) => {
    if (!(args.seconds >= 0.5 && args.seconds <= 3600)) {
      throw usage("--seconds must be from 0.5 to 3600.", "Leave it out for 15.");
    }
    const signal = interruptSignal();
    const repository =
      repo === undefined ? undefined : await openRepository(storageLocation({ ...args, repo }), signal);
    const tuning = await tune({
      devices: args.device,
      storage: repository?.storage,
      seconds: args.seconds,
      signal,
    });
    printResult<AgentOutput<"tune">>(json, tuning, describe(tuning));
  },
};

function describe({ figures, advice }: Tuning): string[] {
  if (advice.bottleneck === null) {
    return [
      "There is nothing to measure: the devices are empty. Name one that holds data like the data that you will back up.",
    ];
  }
  const { limits } = advice;
  const rate = (bytesPerSecond: number) => `${formatBytes(bytesPerSecond)}/s`;
  const sweep = (speeds: SpeedAt[]) =>
    speeds.map(({ inFlight, bytesPerSecond }) => `${inFlight}: ${rate(bytesPerSecond)}`).join(", ");
  const table = formatTable([
    ["device", rate(limits.device), `reads in flight ${sweep(figures.read)}`],
    [
      "cpu",
      rate(limits.cpu),
      `${figures.cores} cores, each hashes ${rate(figures.hashBytesPerSecond)} and compresses ${rate(figures.compressBytesPerSecond)}`,
    ],
    limits.network === null
      ? ["network", "-", "not measured; give --repo"]
      : ["network", rate(limits.network), `parts in flight ${sweep(figures.upload)}, stored`],
  ]);
  return [
    "Bytes of the devices that each part could process by itself, in a first backup:",
    ...table,
    `The bottleneck is: ${advice.bottleneck}, ${rate(advice.bytesPerSecond)}.`,
    `Run: backup --threads ${advice.threads} --queue-depth ${advice.queueDepth}`,
    `Parts of ${formatBytes(advice.partBytes)}; memory ${formatBytes(advice.memoryBytes)}.`,
  ];
}
