import { setTimeout } from "node:timers/promises";

/** What a thread needs to take part in a limit. */
export interface BandwidthLimitMemory {
  bytesPerSecond: number;
  memory: SharedArrayBuffer;
}

/**
 * A limit on bytes per second that all threads share. One Int64 holds the moment, in nanoseconds of the monotonic clock that
 * all threads of a process share, at which the bytes granted so far will have passed at that speed. A request moves it
 * forward by what it takes (compare-and-swap) and waits until the moment it found: first come, first served.
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

  /** Waits until so many bytes may be sent or received. @throws AbortError */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const waitMs = this.charge(bytes);
    if (waitMs > 0) await setTimeout(waitMs, undefined, signal === undefined ? {} : { signal });
  }

  /**
   * Grants bytes that are on their way already; whoever comes next waits for them.
   * @returns milliseconds that they had to wait
   */
  charge(bytes: number): number {
    return Number(this.reserve(BigInt(Math.ceil((bytes / this.shared.bytesPerSecond) * 1e9)))) / 1e6;
  }

  /** @returns nanoseconds to wait */
  private reserve(cost: bigint): bigint {
    for (;;) {
      const now = process.hrtime.bigint();
      const found = Atomics.load(this.passedAt, 0);
      const start = found > now ? found : now;
      if (Atomics.compareExchange(this.passedAt, 0, found, start + cost) === found) return start - now;
    }
  }
}
