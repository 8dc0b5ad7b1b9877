import { CHART_WIDTH, type Markup, markup, svg } from "./plot.js";

const BAR_HEIGHT = 22;
const GAP = 8;
/** Space for the labels before the bars and for the values after them. */
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 150;
const BARS_WIDTH = CHART_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
/** Keeps every nonzero value visible. */
const LEAST_WIDTH = 1;

interface Part {
  name: string;
  tone: string;
  value: number;
}

/** Draws one bar across the chart, divided into consecutive parts. */
export function dividedBar(name: string, parts: Part[]): Markup {
  const whole = parts.reduce((sum, { value }) => sum + value, 0);
  let x = 0;
  const rects = parts.flatMap((part) => {
    const width = whole === 0 ? 0 : (part.value / whole) * CHART_WIDTH;
    const start = x;
    x += width;
    return width === 0
      ? []
      : [
          markup`<rect class="part area t-${part.tone}" x="${start}" y="0" width="${Math.max(width, LEAST_WIDTH)}" height="28"><title>${part.name}: ${((part.value / whole) * 100).toFixed(1)}%</title></rect>`,
        ];
  });
  return svg(name, { width: CHART_WIDTH + LEAST_WIDTH, height: 28 }, rects);
}

interface Bar {
  label: string;
  tone: string;
  /** Start of the bar; 0 by default. */
  start?: number;
  value: number;
  /** The value as written after the bar. */
  text: string;
}

/**
 * Draws horizontal bars, one below another.
 * With starts, each bar shows a step at its position in the run.
 */
export function bars(name: string, all: Bar[]): Markup {
  const end = Math.max(...all.map(({ start = 0, value }) => start + value), 0) || 1;
  const rows = all.map(({ label, tone, start = 0, value, text }, row) => {
    const y = row * (BAR_HEIGHT + GAP);
    const x = LABEL_WIDTH + (start / end) * BARS_WIDTH;
    const width = Math.max((value / end) * BARS_WIDTH, LEAST_WIDTH);
    return markup`<text x="${LABEL_WIDTH - 10}" y="${y + 15}" text-anchor="end">${label}</text><rect class="bar area t-${tone}" x="${x}" y="${y}" width="${width}" height="${BAR_HEIGHT}"/><text class="value" x="${x + width + 8}" y="${y + 15}">${text}</text>`;
  });
  return svg(name, { width: CHART_WIDTH, height: all.length * (BAR_HEIGHT + GAP) }, rows);
}
