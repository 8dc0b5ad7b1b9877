import { pause } from "../../foundation/retry.js";

/** The memory that a thread needs to share a limit. */
export interface BandwidthLimitMemory {
  bytesPerSecond: number;
  memory: SharedArrayBuffer;
}

/**
 * A limit on bytes per second that all threads share. One Int64 stores a time in nanoseconds of the monotonic
 * clock, which is common to all threads of a process: the time at which the granted bytes will have passed at
 * this rate. A request adds its own cost to it (compare-and-swap), and waits until the time that it found:
 * first come, first served.
 */
export class BandwidthLimit {
  private readonly passedAt: BigInt64Array;

  private constructor(private readonly shared: BandwidthLimitMemory) {
    this.passedAt = new BigInt64Array(shared.memory);
  }

  static create(bytesPerSecond: number): BandwidthLimit {
    return new BandwidthLimit({
      bytesPerSecond,
      memory: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
    });
  }

  static attach(shared: BandwidthLimitMemory): BandwidthLimit {
    return new BandwidthLimit(shared);
  }

  get memory(): BandwidthLimitMemory {
    return this.shared;
  }

  /** Waits until this number of bytes may be sent or received. @throws the signal's reason */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const waitMs = this.charge(bytes);
    if (waitMs > 0) await pause(waitMs, signal);
  }

  /**
   * Grants bytes that are already on their way; later requests wait for them.
   * @returns milliseconds that these bytes should have waited
   */
  charge(bytes: number): number {
    return Number(this.reserve(BigInt(Math.ceil((bytes / this.shared.bytesPerSecond) * 1e9)))) / 1e6;
  }

  /** Adds the cost to the shared time. @returns nanoseconds to wait */
  private reserve(cost: bigint): bigint {
    for (;;) {
      const now = process.hrtime.bigint();
      const found = Atomics.load(this.passedAt, 0);
      const start = found > now ? found : now;
      if (Atomics.compareExchange(this.passedAt, 0, found, start + cost) === found) return start - now;
    }
  }
}
