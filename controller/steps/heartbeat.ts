/**
 * Decides whether the agent is alive.
 * It compares the sequence numbers of heartbeats, and never the clocks of two machines.
 */
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

  /**
   * Records the sequence number of a heartbeat.
   * @param tookMs duration of the read, which does not count: no agent can be heard while the storage is down
   */
  hear(sequence: number | undefined, tookMs: number): void {
    this.deadline += tookMs;
    if (sequence === undefined || sequence <= this.sequence) return;
    this.sequence = sequence;
    this.deadline = performance.now() + this.nextMs;
  }

  /** Records a heartbeat of another job, which gives the agent the full start time again to find ours. */
  hearOther(): void {
    this.deadline = Math.max(this.deadline, performance.now() + this.firstMs);
  }

  isLost(): boolean {
    return performance.now() > this.deadline;
  }

  hasBegun(): boolean {
    return this.sequence >= 0;
  }

  /** Returns bytes per second over the last samples. */
  rate(bytes: number): number {
    this.samples.push({ at: performance.now(), bytes });
    if (this.samples.length > 10) this.samples.shift();
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || first === last) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}
