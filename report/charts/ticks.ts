import { formatBytes, formatSeconds } from "../../command-line/format.js";
import type { Axis } from "./plot.js";

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
