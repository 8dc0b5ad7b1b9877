/** One measurement: samples of one program in one setting, in the order of the rounds. */
interface Series {
  name: string;
  unit: "s" | "CPU s" | "MB/s" | "MB/CPU s" | "MiB" | "x";
  samples: number[];
}

/** A figure that must reach a target. */
interface Bar {
  name: string;
  value: number;
  target: number;
  /** Whether the target is a minimum or a maximum. */
  bound: "at least" | "at most";
  unit: "x" | "MiB" | "of the limit";
}

/** All results of a run; printed as they arrive, and written as JSON. */
export class Report {
  readonly series: Series[] = [];
  readonly bars: Bar[] = [];

  addSeries(series: Series): void {
    this.series.push(series);
    const { name, unit, samples } = series;
    const spread =
      samples.length > 1
        ? `  (${Math.min(...samples).toFixed(2)} to ${Math.max(...samples).toFixed(2)})`
        : "";
    print(`  ${name.padEnd(52)} ${median(samples).toFixed(2).padStart(9)} ${unit}${spread}`);
  }

  addBar(bar: Bar): void {
    this.bars.push(bar);
    print(`  ${describeBar(bar)}`);
  }

  printBars(): void {
    heading("Bars");
    for (const bar of this.bars) print(`  ${describeBar(bar)}`);
  }
}

export function heading(title: string): void {
  print(`\n${title}`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function median(samples: number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * Returns the median of the ratios of all rounds.
 * Both figures of a ratio come from the same round.
 */
export function medianRatio(numerators: number[], denominators: number[]): number {
  return median(numerators.map((numerator, round) => numerator / (denominators[round] ?? Number.NaN)));
}

function describeBar({ name, value, target, bound, unit }: Bar): string {
  const reached = bound === "at least" ? value >= target : value <= target;
  const figure = `${value.toFixed(2)} ${unit}`.padStart(18);
  return `${reached ? "ok  " : "MISS"} ${name.padEnd(56)} ${figure}   bar: ${bound} ${target}`;
}
