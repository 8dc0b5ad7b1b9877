import { type Markup, markup } from "./markup.js";

/** Width of every chart, in viewBox units, which are CSS pixels at full width. */
export const CHART_WIDTH = 912;
/** Space for the labels of the y axis. */
const LEFT = 104;
/** Half a label of the x axis extends here. */
const RIGHT = 40;
const TOP = 12;
const BOTTOM = 44;

/** A value on an axis, with its label. */
interface Tick {
  value: number;
  label: string;
}

export interface Axis {
  /** The value at the far end of the axis, which starts at 0. */
  max: number;
  ticks: Tick[];
  title: string;
}

/** The area of a chart with two axes that start at 0. */
export class Plot {
  readonly width = CHART_WIDTH;

  constructor(
    readonly height: number,
    private readonly xAxis: Axis,
    private readonly yAxis: Axis,
  ) {}

  x(value: number): number {
    return LEFT + (value / this.xAxis.max) * (this.width - LEFT - RIGHT);
  }

  y(value: number): number {
    const bottom = this.height - BOTTOM;
    return bottom - (value / this.yAxis.max) * (bottom - TOP);
  }

  /**
   * Draws the axes and the content.
   * @param name describes the chart for screen readers
   */
  draw(name: string, content: Markup | Markup[]): Markup {
    const { xAxis, yAxis, width, height } = this;
    const [left, right, bottom] = [this.x(0), this.x(xAxis.max), this.y(0)];
    const xTicks = xAxis.ticks.map(
      ({ value, label }) =>
        markup`<text x="${this.x(value)}" y="${bottom + 18}" text-anchor="middle">${label}</text>`,
    );
    const yTicks = yAxis.ticks.map(({ value, label }) => {
      const y = this.y(value);
      return markup`<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/><text x="${left - 8}" y="${y + 4}" text-anchor="end">${label}</text>`;
    });
    return svg(
      name,
      { width, height },
      markup`${yTicks}${content}<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>${xTicks}<text class="title" x="${(left + right) / 2}" y="${height - 6}" text-anchor="middle">${xAxis.title}</text><text class="title" transform="translate(14 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${yAxis.title}</text>`,
    );
  }
}

export function svg(
  name: string,
  { width, height }: { width: number; height: number },
  content: Markup | Markup[],
): Markup {
  return markup`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">${content}</svg>`;
}
