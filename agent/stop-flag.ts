/** One Int32 that every thread of a run reads: 0 while the run continues, 1 when all must stop. Set once. */
export class StopFlag {
  private readonly word: Int32Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.word = new Int32Array(memory);
  }

  static create(): StopFlag {
    return new StopFlag(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): StopFlag {
    return new StopFlag(memory);
  }

  set(): void {
    Atomics.store(this.word, 0, 1);
  }

  get isSet(): boolean {
    return Atomics.load(this.word, 0) !== 0;
  }
}
