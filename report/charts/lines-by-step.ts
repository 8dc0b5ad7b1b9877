import { type Markup, markup } from "./markup.js";
import { Plot } from "./plot.js";
import { rateAxis } from "./ticks.js";
import type { Curve } from "./time-charts.js";

const HEIGHT = 240;

/**
 * Draws rates against the steps of a swept parameter, one point for each step.
 * The `values` of a curve are in the order of the steps.
 */
export function ratesByStep(name: string, steps: string[], title: string, curves: Curve[]): Markup {
  const highest = Math.max(0, ...curves.flatMap(({ values }) => values));
  const ticks = steps.map((label, value) => ({ value, label }));
  const plot = new Plot(
    HEIGHT,
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
