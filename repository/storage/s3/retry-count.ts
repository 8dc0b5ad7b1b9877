/** The number of retries: one Int32 that all threads of a process increment. */
export class RetryCount {
  private readonly cell: Int32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cell = new Int32Array(memory);
  }

  static create(): RetryCount {
    return new RetryCount(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): RetryCount {
    return new RetryCount(memory);
  }

  get count(): number {
    return Atomics.load(this.cell, 0);
  }

  increment(): void {
    Atomics.add(this.cell, 0, 1);
  }
}
