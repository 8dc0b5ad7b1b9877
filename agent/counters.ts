/** The counters of a run, all in bytes. */
const COUNTERS = ["doneBytes", "zeroBytes", "duplicateBytes", "newBytes", "storedBytes"] as const;

type Counter = (typeof COUNTERS)[number];
export type CounterTotals = Record<Counter, number>;

/**
 * Progress of a run, as one row of float64 per thread.
 * Each row is written only by its thread and read by the main thread for display, so no ordering is needed.
 * Totals are exact once the threads have ended.
 */
export class Counters {
  private readonly cells: Float64Array;

  private constructor(readonly memory: SharedArrayBuffer) {
    this.cells = new Float64Array(memory);
  }

  static create(rows: number): Counters {
    return new Counters(new SharedArrayBuffer(rows * COUNTERS.length * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(memory: SharedArrayBuffer): Counters {
    return new Counters(memory);
  }

  row(number: number): CounterRow {
    return new CounterRow(this.cells.subarray(number * COUNTERS.length, (number + 1) * COUNTERS.length));
  }

  totals(): CounterTotals {
    const totals = { doneBytes: 0, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 };
    for (let cell = 0; cell < this.cells.length; cell++) {
      totals[COUNTERS[cell % COUNTERS.length] as Counter] += this.cells[cell] as number;
    }
    return totals;
  }
}

/** One thread's counters. */
export class CounterRow {
  constructor(private readonly cells: Float64Array) {}

  add(counter: Counter, bytes: number): void {
    const cell = COUNTERS.indexOf(counter);
    this.cells[cell] = (this.cells[cell] as number) + bytes;
  }
}
