import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import { PART_BUFFERS } from "../../repository/packs/pack-writer.js";

/** The speed with a number of operations in flight. */
export interface SpeedAt {
  inFlight: number;
  bytesPerSecond: number;
}

/** The measurements and resources of a machine. */
export interface Figures {
  cores: number;
  /** Memory that a backup may take. */
  memoryBytes: number;
  /** Returns the most reads per thread that this process can have in flight with a number of threads. */
  mostReads(threads: number): number;
  sourceBytes: number;
  partBytes: number;
  /** `bytesPerThread` of the repository's cipher. */
  cipherBytes: number;
  /** Read speed of all devices together; at least one entry. */
  read: SpeedAt[];
  /** Speed of one core; infinite if there was nothing to hash. */
  hashBytesPerSecond: number;
  compressBytesPerSecond: number;
  /** Stored bytes per byte of the source, if none of its chunks is stored yet. */
  storedShare: number;
  /** Upload speed in stored bytes, by parts in flight; empty if not measured. */
  upload: SpeedAt[];
}

type Bottleneck = "device" | "cpu" | "network";

export interface Advice {
  threads: number;
  /** Reads in flight per thread. */
  queueDepth: number;
  partBytes: number;
  /** Memory of a backup with these settings. */
  memoryBytes: number;
  /** Null if the devices are empty, so that there was nothing to measure. */
  bottleneck: Bottleneck | null;
  /** Source bytes per second that each could process alone; null if not measured. */
  limits: { device: number; cpu: number; network: number | null };
  /** The expected speed of a first backup: the least of these limits. */
  bytesPerSecond: number;
}

/** A smaller gain than this does not justify more in flight. */
const GOOD_ENOUGH = 0.95;
/**
 * More threads than the bottleneck can feed cost memory; a quarter extra allows for differences in practice.
 */
const HEADROOM = 1.25;
const MAX_THREADS = 64;
const MIN_QUEUE_DEPTH = 2;
const MAX_QUEUE_DEPTH = 256;

/** Returns settings for a first backup: the fewest threads and reads that keep the bottleneck busy. */
export function advise(figures: Figures): Advice {
  const perCore = 1 / (1 / figures.hashBytesPerSecond + 1 / figures.compressBytesPerSecond);
  const device = bestOf(figures.read);
  const cpu = perCore * figures.cores;
  const network = figures.upload.length === 0 ? null : bestOf(figures.upload) / figures.storedShare;
  const bytesPerSecond = Math.min(device, cpu, network ?? Number.POSITIVE_INFINITY);
  const wanted = Math.max(
    Math.min(Math.ceil((bytesPerSecond * HEADROOM) / perCore), figures.cores),
    network === bytesPerSecond ? Math.ceil(neededInFlight(figures.upload) / PART_BUFFERS) : 1,
  );
  const { threads, queueDepth } = fitIntoMemory(figures, Math.max(1, Math.min(wanted, MAX_THREADS)));
  return {
    ...{ threads, queueDepth, bytesPerSecond, partBytes: figures.partBytes },
    memoryBytes: Math.ceil(expectedMemoryBytes({ ...figures, threads, queueDepth })),
    bottleneck: figures.sourceBytes === 0 ? null : bottleneckOf({ device, network }, bytesPerSecond),
    limits: { device, cpu, network },
  };
}

function bottleneckOf(
  { device, network }: Pick<Advice["limits"], "device" | "network">,
  bytesPerSecond: number,
): Bottleneck {
  if (network === bytesPerSecond) return "network";
  return device === bytesPerSecond ? "device" : "cpu";
}

/** Reduces reads first, down to half, then threads: one more thread costs as much as a hundred reads. */
function fitIntoMemory(figures: Figures, wantedThreads: number): { threads: number; queueDepth: number } {
  for (let threads = wantedThreads; ; threads--) {
    const queueDepth = queueDepthFor(figures, threads);
    const fixedBytes = expectedMemoryBytes({ ...figures, threads, queueDepth: 0 });
    const affordable = Math.floor((figures.memoryBytes - fixedBytes) / (threads * CHUNK_BYTES));
    if (affordable >= queueDepth / 2 || threads === 1) {
      return { threads, queueDepth: Math.max(1, Math.min(queueDepth, affordable)) };
    }
  }
}

/**
 * Returns twice the reads that keep the devices busy: half of the slots hold data that wait for their thread.
 */
function queueDepthFor(figures: Figures, threads: number): number {
  const wanted = Math.ceil((2 * neededInFlight(figures.read)) / threads);
  const possible = Math.min(MAX_QUEUE_DEPTH, figures.mostReads(threads));
  return Math.max(1, Math.min(Math.max(MIN_QUEUE_DEPTH, wanted), possible));
}

function neededInFlight(speeds: SpeedAt[]): number {
  const enough = bestOf(speeds) * GOOD_ENOUGH;
  return Math.min(
    ...speeds.filter(({ bytesPerSecond }) => bytesPerSecond >= enough).map(({ inFlight }) => inFlight),
  );
}

function bestOf(speeds: SpeedAt[]): number {
  return Math.max(...speeds.map(({ bytesPerSecond }) => bytesPerSecond));
}

const MIB = 2 ** 20;
/** Part size of a repository in S3, the usual kind. */
export const USUAL_PART_BYTES = 8 * MIB;
/** Node, V8 and the code of the agent and the SDK, once per process; then the share of each thread. */
const PROCESS_BYTES = 70 * MIB;
const THREAD_BYTES = 32 * MIB;
/** An index entry and its buckets, and the volume's reference to it. */
const BYTES_PER_CHUNK = 62 + 4;

interface BackupSize {
  threads: number;
  /** Reads in flight per thread. */
  queueDepth: number;
  partBytes: number;
  sourceBytes: number;
  /** `bytesPerThread` of the repository's cipher. */
  cipherBytes: number;
}

/**
 * Returns the memory of a backup in bytes, by the formula of docs/architecture.md.
 * The main thread also writes packs, for block maps.
 */
export function expectedMemoryBytes({ threads, queueDepth, ...size }: BackupSize): number {
  const { partBytes, sourceBytes, cipherBytes } = size;
  const slots = threads * queueDepth * CHUNK_BYTES;
  const parts = (threads + 1) * PART_BUFFERS * (partBytes + CHUNK_BYTES);
  const index = (sourceBytes / CHUNK_BYTES) * BYTES_PER_CHUNK;
  return PROCESS_BYTES + threads * (THREAD_BYTES + cipherBytes) + slots + parts + index;
}
