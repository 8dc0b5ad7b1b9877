import { totalmem } from "node:os";
import type { Argv } from "yargs";
import {
  checkWholeNumber,
  chooseThreads,
  once,
  parseByteSize,
  threadsOption,
  usage,
} from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import { CIPHERTEXT_BYTES } from "../../repository/encryption/aes-gcm-cipher.js";
import { expectedMemoryBytes, USUAL_PART_BYTES } from "../tune/advise.js";
import { DEFAULT_QUEUE_DEPTH, ioThreads, MAX_IO_THREADS, reservedIoThreads } from "../tune/parallelism.js";
import type { AgentOutput } from "./outputs.js";

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
    if (dataBytes > 2 ** 60) throw usage("--data must be at most 1048576T.", "Write, say, --data 64T");
    const limits = serviceLimits({
      threads: chooseThreads(threads),
      volumes: checkWholeNumber("volumes", args.volumes, 1, 128),
      dataBytes,
      partBytes: USUAL_PART_BYTES,
      memoryBytes: totalmem(),
    });
    printResult<AgentOutput<"limits">>(json, limits, [
      `UV_THREADPOOL_SIZE=${limits.ioThreads}`,
      `MemoryMax=${limits.memoryBytes}`,
    ]);
  },
};

interface ServiceSize {
  /** Threads of the largest job. */
  threads: number;
  /** Volumes attached at once. */
  volumes: number;
  /** Size of the repository and a job's volumes together, in bytes. */
  dataBytes: number;
  partBytes: number;
  /** Memory of the machine. */
  memoryBytes: number;
}

interface ServiceLimits {
  /** For `UV_THREADPOOL_SIZE`. */
  ioThreads: number;
  /** The most memory that a job should need. */
  memoryBytes: number;
}

/** The rest is for the system. */
const MEMORY_SHARE = 0.9;

/**
 * Returns the most I/O threads and memory that a service needs.
 * This allows the default number of reads in flight for every volume, and their memory by the formula of
 * docs/architecture.md for an encrypted repository. There are never fewer I/O threads than the service would
 * start by default.
 */
function serviceLimits({ threads, volumes, ...size }: ServiceSize): ServiceLimits {
  const reads = Math.max(threads, volumes) * DEFAULT_QUEUE_DEPTH;
  const pool = Math.min(MAX_IO_THREADS, Math.max(ioThreads(), reads + reservedIoThreads(threads)));
  const queueDepth = (pool - reservedIoThreads(threads)) / threads;
  const { partBytes, dataBytes: sourceBytes } = size;
  const neededBytes = expectedMemoryBytes({
    ...{ threads, queueDepth, partBytes, sourceBytes },
    cipherBytes: CIPHERTEXT_BYTES,
  });
  return { ioThreads: pool, memoryBytes: Math.ceil(Math.min(neededBytes, size.memoryBytes * MEMORY_SHARE)) };
}
