import { formatBytes, formatSeconds } from "../../command-line/format.js";

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

/** Readable tick intervals, in seconds. */
const SECONDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
const HOUR = 3600;
const TICKS = 6;

export function secondsAxis(max: number, title: string): Axis {
  const end = max > 0 ? max : 1;
  const step = SECONDS.find((seconds) => seconds * TICKS >= end) ?? HOUR * stepOf(end / HOUR);
  return {
    max: end,
    title,
    ticks: ticksUpTo(end, step, (value) => (step < 0.1 ? `${value.toFixed(2)}s` : formatSeconds(value))),
  };
}

/** Returns an axis with ticks at multiples of a power of two, as usual for bytes. The axis ends at a tick. */
export function rateAxis(max: number, title: string): Axis {
  const step = 2 ** Math.ceil(Math.log2(Math.max(max, 4) / 4));
  const end = Math.max(1, Math.ceil(max / step)) * step;
  return {
    max: end,
    title,
    ticks: ticksUpTo(end, step, (value) => (value === 0 ? "0" : `${formatBytes(value)}/s`)),
  };
}

export function shareAxis(title: string): Axis {
  return { max: 1, title, ticks: ticksUpTo(1, 0.25, (value) => `${Math.round(value * 100)}%`) };
}

function stepOf(max: number): number {
  const power = 10 ** Math.floor(Math.log10(max / TICKS));
  return ([1, 2, 5, 10].find((factor) => factor * power * TICKS >= max) ?? 10) * power;
}

function ticksUpTo(max: number, step: number, label: (value: number) => string): Axis["ticks"] {
  const count = Math.floor(max / step + 1e-9);
  return Array.from({ length: count + 1 }, (_, number) => ({
    value: number * step,
    label: label(number * step),
  }));
}

/** HTML or SVG that is safe to insert into a page. */
export class Markup {
  constructor(readonly text: string) {}
}

/** A value that can be inserted into `markup`; text is always escaped. */
type Piece = Markup | string | number | readonly Piece[];

/** Builds HTML or SVG from a template literal. */
export function markup(strings: TemplateStringsArray, ...pieces: Piece[]): Markup {
  const texts = strings.map((text, number) => text + written(pieces[number] ?? ""));
  return new Markup(texts.join(""));
}

function written(piece: Piece): string {
  if (piece instanceof Markup) return piece.text;
  if (typeof piece === "number") return String(Math.round(piece * 100) / 100);
  if (typeof piece === "string") return escapeText(piece);
  return piece.map(written).join("");
}

const ESCAPES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Escapes text for HTML, also in quoted attributes.
 * Control characters are not valid in HTML, except tabs and line ends.
 */
function escapeText(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Cc}/gu, "\ufffd")
    .replace(/[&<>"']/g, (character: string) => ESCAPES[character] as string);
}

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
