import { totalmem } from "node:os";
import type { Argv } from "yargs";
import { parseByteSize } from "../../command-line/byte-size.js";
import type { Command } from "../../command-line/command.js";
import { checkWholeNumber, chooseThreads, once, threadsOption, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import { serviceLimits } from "../serve/service-limits.js";
import { USUAL_PART_BYTES } from "../tune/expected-memory.js";

interface LimitsArguments {
  threads: number | undefined;
  volumes: number;
  data: string;
  json: boolean;
}

/** A Nitro instance takes 28 attachments; one is its root volume. */
const USUAL_VOLUMES = 27;
/** A job may ask for more threads than there are cores. */
const THREADS_PER_CORE = 2;

export const limitsCommand: Command<LimitsArguments> = {
  command: "limits",
  describe:
    "Print the number of I/O threads and the memory that `serve` needs on this machine, for its systemd unit",
  builder: (parser: Argv) =>
    parser
      .options({
        volumes: {
          type: "number",
          requiresArg: true,
          default: USUAL_VOLUMES,
          coerce: once("volumes"),
          describe: "Volumes that are attached at once",
        },
        data: {
          type: "string",
          requiresArg: true,
          default: "64T",
          coerce: once("data"),
          describe: "Size of the repository and of the volumes of a job together, in bytes (K, M, G, T)",
        },
        threads: {
          ...threadsOption,
          describe: "Threads of the largest job  [default: two for each core]",
        },
      })
      .example(
        "$0 limits --volumes 4 --data 10T",
        "a worker for few volumes",
      ) as unknown as Argv<LimitsArguments>,
  handler: async ({ json, ...args }) => {
    const threads = args.threads === undefined ? chooseThreads(undefined) * THREADS_PER_CORE : args.threads;
    const dataBytes = parseByteSize("data", args.data);
    if (dataBytes > 2 ** 60) throw usage("--data must be 1048576T at most.", "Write, say, --data 64T");
    const limits = serviceLimits({
      threads: chooseThreads(threads),
      volumes: checkWholeNumber("volumes", args.volumes, 1, 128),
      dataBytes,
      partBytes: USUAL_PART_BYTES,
      memoryBytes: totalmem(),
    });
    printResult(json, limits, [`UV_THREADPOOL_SIZE=${limits.ioThreads}`, `MemoryMax=${limits.memoryBytes}`]);
  },
};
