import type { Markup } from "./markup.js";
import { markup } from "./markup.js";
import { Plot } from "./plot.js";
import { rateAxis, secondsAxis, shareAxis } from "./ticks.js";

const HEIGHT = 220;

/** A curve over time, in the colour of its tone (style.ts). */
export interface Curve {
  name: string;
  tone: string;
  /** One value for each time span. */
  values: number[];
}

/**
 * Draws rates over time; each value covers its whole span.
 * @param ends ends of the spans, in seconds
 */
export function ratesOverTime(name: string, ends: number[], curves: Curve[]): Markup {
  const highest = Math.max(0, ...curves.flatMap(({ values }) => values));
  const plot = new Plot(
    HEIGHT,
    secondsAxis(ends.at(-1) ?? 0, "time since the threads began"),
    rateAxis(highest, "bytes per second"),
  );
  const lines = curves.map(({ tone, values }) => {
    const steps = values.map(
      (value, span) =>
        `H${at(plot.x(ends[span - 1] ?? 0))}V${at(plot.y(value))}H${at(plot.x(ends[span] as number))}`,
    );
    return markup`<path class="line t-${tone}" d="M${plot.x(0)} ${plot.y(0)}${steps.join("")}"/>`;
  });
  return plot.draw(name, lines);
}

/**
 * Draws stacked shares of a whole over time.
 * The values of a span add up to 1 at most.
 */
export function sharesOverTime(name: string, ends: number[], curves: Curve[]): Markup {
  const plot = new Plot(
    HEIGHT,
    secondsAxis(ends.at(-1) ?? 0, "time since the threads began"),
    shareAxis("of the threads' time"),
  );
  const floor = ends.map(() => 0);
  const areas = curves.map(({ tone, values }) => {
    const below = [...floor];
    for (const [span, value] of values.entries()) floor[span] = Math.min(1, (floor[span] as number) + value);
    const edge = (heights: number[]) =>
      heights.map((height, span) => ({ from: ends[span - 1] ?? 0, to: ends[span] as number, height }));
    const up = edge(floor).map(
      ({ from, to, height }) =>
        `L${at(plot.x(from))} ${at(plot.y(height))}L${at(plot.x(to))} ${at(plot.y(height))}`,
    );
    const back = edge(below)
      .toReversed()
      .map(
        ({ from, to, height }) =>
          `L${at(plot.x(to))} ${at(plot.y(height))}L${at(plot.x(from))} ${at(plot.y(height))}`,
      );
    return markup`<path class="area t-${tone}" d="M${plot.x(0)} ${plot.y(below[0] ?? 0)}${up.join("")}${back.join("")}Z"/>`;
  });
  return plot.draw(name, areas);
}

function at(coordinate: number): string {
  return coordinate.toFixed(1);
}
