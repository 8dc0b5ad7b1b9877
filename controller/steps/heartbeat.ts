/** Tells by the sequence of heartbeats, and not by anybody's clock, whether the agent lives. */
export class Heartbeat {
  private sequence = -1;
  private deadline: number;
  private readonly samples: { at: number; bytes: number }[] = [];

  constructor(
    private readonly firstMs: number,
    private readonly nextMs: number,
  ) {
    this.deadline = performance.now() + firstMs;
  }

  /** @param tookMs how long the answer took, which does not count: in an outage of the storage nobody can be heard */
  hear(sequence: number | undefined, tookMs: number): void {
    this.deadline += tookMs;
    if (sequence === undefined || sequence <= this.sequence) return;
    this.sequence = sequence;
    this.deadline = performance.now() + this.nextMs;
  }

  /** Another job's: from now on the agent has as long to find ours as if it had just started. */
  hearOther(): void {
    this.deadline = Math.max(this.deadline, performance.now() + this.firstMs);
  }

  isLost(): boolean {
    return performance.now() > this.deadline;
  }

  hasBegun(): boolean {
    return this.sequence >= 0;
  }

  /** Bytes per second over the last samples. */
  rate(bytes: number): number {
    this.samples.push({ at: performance.now(), bytes });
    if (this.samples.length > 10) this.samples.shift();
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || first === last) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}
