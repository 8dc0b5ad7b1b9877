import { type Markup, markup, Plot, rateAxis, secondsAxis, shareAxis } from "./plot.js";

const HEIGHT = 220;

/** A curve over time, in the colour of its tone (page.ts). */
interface Curve {
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

const LINES_HEIGHT = 240;

/**
 * Draws rates against the steps of a swept parameter, one point for each step.
 * The `values` of a curve are in the order of the steps.
 */
export function ratesByStep(name: string, steps: string[], title: string, curves: Curve[]): Markup {
  const highest = Math.max(0, ...curves.flatMap(({ values }) => values));
  const ticks = steps.map((label, value) => ({ value, label }));
  const plot = new Plot(
    LINES_HEIGHT,
    { max: Math.max(1, steps.length - 1), ticks, title },
    rateAxis(highest, "bytes per second"),
  );
  const drawn = curves.map(({ name: curve, tone, values }) => {
    const points = values.map((value, step) => ({ x: plot.x(step), y: plot.y(value), step }));
    const path = points
      .map(({ x, y }, number) => `${number === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`)
      .join("");
    const dots = points.map(
      ({ x, y, step }) =>
        markup`<circle class="dot t-${tone}" cx="${x}" cy="${y}" r="4.5"><title>${curve}, ${steps[step] ?? ""}</title></circle>`,
    );
    return markup`<path class="line t-${tone}" d="${path}"/>${dots}`;
  });
  return plot.draw(name, drawn);
}
