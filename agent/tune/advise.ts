import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import { PART_BUFFERS } from "../../repository/pack-writer.js";
import { expectedMemoryBytes } from "./expected-memory.js";

/** A speed with so much under way at once. */
export interface SpeedAt {
  inFlight: number;
  bytesPerSecond: number;
}

/** What was measured of a machine, and what it has. */
export interface Figures {
  cores: number;
  /** Memory that a backup may take. */
  memoryBytes: number;
  /** The most reads that this process can have in flight with so many threads, for each thread. */
  mostReads(threads: number): number;
  sourceBytes: number;
  partBytes: number;
  /** `bytesPerThread` of the repository's cipher. */
  cipherBytes: number;
  /** Of all devices together; at least one. */
  read: SpeedAt[];
  /** Of one core; infinite where there was nothing to hash. */
  hashBytesPerSecond: number;
  compressBytesPerSecond: number;
  /** Bytes stored for each byte of the source, when none of its chunks is stored yet. */
  storedShare: number;
  /** Of stored bytes, with so many parts under way; none where it was not measured. */
  upload: SpeedAt[];
}

type Bottleneck = "device" | "cpu" | "network";

export interface Advice {
  threads: number;
  /** Reads in flight, for each thread. */
  queueDepth: number;
  partBytes: number;
  /** What a backup with these takes. */
  memoryBytes: number;
  /** Null where the devices are empty, so that there was nothing to measure. */
  bottleneck: Bottleneck | null;
  /** Bytes of the source that each could do per second by itself; null where it was not measured. */
  limits: { device: number; cpu: number; network: number | null };
  /** What a first backup should reach: the least of these. */
  bytesPerSecond: number;
}

/** Faster by less than this is no reason to have more under way. */
const GOOD_ENOUGH = 0.95;
/** More threads than the bottleneck can feed cost memory; one core's worth in four is left for what differs in practice. */
const HEADROOM = 1.25;
const MAX_THREADS = 64;
const MIN_QUEUE_DEPTH = 2;
const MAX_QUEUE_DEPTH = 256;

/** How a first backup should be run on a machine with such figures: as few threads and reads as keep its bottleneck busy. */
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

/** Fewer reads first, down to half, then fewer threads: a thread more costs as much as a hundred reads. */
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

/** Twice the reads that keep the devices busy: half of the slots hold data that wait for their thread. */
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
