import { formatBytes } from "../../command-line/format.js";
import { type Axis, type Markup, markup, Plot } from "../../report/charts/plot.js";

const HEIGHT = 320;
/** Powers of two that the x axis shows on both sides of the measured point. */
const AROUND = 2;
/** Rates below the fastest by more doublings than this are drawn at the bottom. */
const MOST_DOUBLINGS = 12;

/** The maximum rate of each part of the machine, in bytes per second. */
export interface Roofs {
  /** Source bytes. */
  device: number;
  /** Source bytes. */
  cpu: number;
  /** Stored bytes; undefined where it was not measured. */
  storage: number | undefined;
}

export interface MeasuredPoint {
  name: string;
  tone: string;
  /** Source bytes for each stored byte. */
  intensity: number;
  /** Source bytes. */
  bytesPerSecond: number;
}

/**
 * Returns the highest rate that the roofs allow, in source bytes per second.
 * @param intensity source bytes for each stored byte
 */
export function attainable({ device, cpu, storage }: Roofs, intensity: number): number {
  return Math.min(device, cpu, storage === undefined ? Number.POSITIVE_INFINITY : storage * intensity);
}

/**
 * Draws a roofline (Williams, Waterman and Patterson, 2009), with logarithmic axes.
 * It shows the maximum rate of the machine over the reduction of the data. Device and processor are flat
 * roofs, because each byte is read and hashed; the path to the repository is a slope.
 */
export function roofline(name: string, roofs: Roofs, points: MeasuredPoint[]): Markup {
  const shown = [0, ...points.map(({ intensity }) => Math.log2(intensity))];
  const first = Math.floor(Math.min(...shown)) - AROUND;
  const last = Math.ceil(Math.max(...shown)) + AROUND;
  const slope = (exponent: number) => (roofs.storage ?? Number.POSITIVE_INFINITY) * 2 ** exponent;
  const inSight = [roofs.device, roofs.cpu, ...points.map(({ bytesPerSecond }) => bytesPerSecond)];
  const top = Math.ceil(Math.log2(Math.max(...inSight))) + 1;
  const lowest = Math.min(...inSight, slope(first));
  const bottom = Math.max(Math.floor(Math.log2(lowest)) - 1, top - MOST_DOUBLINGS);
  const plot = new Plot(HEIGHT, xAxis(first, last), yAxis(bottom, top));
  const at = (exponent: number, rate: number) =>
    `${plot.x(exponent - first).toFixed(1)} ${plot.y(Math.max(bottom, Math.log2(rate)) - bottom).toFixed(1)}`;
  /** Returns where the slope reaches a rate, within the chart. */
  const reach = (rate: number) => Math.min(last, Math.max(first, Math.log2(rate / slope(0))));
  const line = (style: string, exponents: number[], rateOf: (exponent: number) => number) =>
    markup`<path class="${style}" d="M${exponents.map((exponent) => at(exponent, rateOf(exponent))).join("L")}"/>`;
  const ends = [reach(2 ** bottom), reach(2 ** top)];
  const dots = points.map(({ name: point, tone, intensity, bytesPerSecond }) => {
    const [x = "", y = ""] = at(Math.log2(intensity), bytesPerSecond).split(" ");
    return markup`<circle class="dot t-${tone}" cx="${x}" cy="${y}" r="7"><title>${point}: ${formatBytes(bytesPerSecond)}/s</title></circle>`;
  });
  return plot.draw(name, [
    line("line t-fourth", [first, last], () => roofs.device),
    line("line t-hash", [first, last], () => roofs.cpu),
    ...(roofs.storage === undefined ? [] : [line("line t-send", ends, slope)]),
    line("roof", [first, reach(attainable(roofs, Number.POSITIVE_INFINITY)), last], (exponent) =>
      attainable(roofs, 2 ** exponent),
    ),
    ...dots,
  ]);
}

function xAxis(first: number, last: number): Axis {
  const step = Math.ceil((last - first) / 10);
  const count = Math.floor((last - first) / step);
  const ticks = Array.from({ length: count + 1 }, (_, number) => {
    const exponent = first + number * step;
    return { value: number * step, label: exponent < 0 ? `1/${2 ** -exponent}` : String(2 ** exponent) };
  });
  return { max: last - first, ticks, title: "bytes read for each byte stored" };
}

function yAxis(bottom: number, top: number): Axis {
  const ticks = Array.from({ length: top - bottom + 1 }, (_, value) => ({
    value,
    label: `${formatBytes(2 ** (bottom + value))}/s`,
  }));
  return { max: top - bottom, ticks, title: "bytes read per second" };
}
