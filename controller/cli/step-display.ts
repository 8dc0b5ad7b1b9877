import { formatSeconds, printableLine } from "../../command-line/format.js";
import { printNote } from "../../command-line/output.js";
import { type ProgressLine, type ProgressText, showProgress } from "../../command-line/progress.js";
import { type Display, NO_DISPLAY } from "../run/runner.js";

const LINE_INTERVAL_MS = 30_000;

/**
 * Shows the steps on standard error: a live line on a terminal, plain lines elsewhere, nothing with `--json`.
 */
export function stepDisplay(json: boolean): Display {
  if (json) return { ...NO_DISPLAY, note: printNote };
  let current: { title: string; progress: string; started: number; line: ProgressLine } | undefined;
  return {
    begin: (title) => {
      const step = { title, progress: "", started: performance.now() };
      current = Object.assign(step, { line: showProgress(textOf(step, "○", "still"), LINE_INTERVAL_MS) });
    },
    progress: (progress) => {
      if (current !== undefined) current.progress = progress;
    },
    end: (outcome) => {
      current?.line.end(textOf(current, outcome === "done" ? "●" : "✗", outcome));
      current = undefined;
    },
    note: (text) => {
      if (current === undefined) printNote(text);
      else current.line.interrupt(() => printNote(text));
    },
  };
}

interface ShownStep {
  title: string;
  progress: string;
  /** By `performance.now()`. */
  started: number;
}

function textOf(step: ShownStep, symbol: string, state: string): ProgressText {
  return { live: () => `${symbol} ${describe(step)}`, plain: () => `${state}: ${describe(step)}` };
}

function describe({ title, progress, started }: ShownStep): string {
  const elapsed = formatSeconds((performance.now() - started) / 1000);
  return printableLine([title, progress, elapsed].filter((part) => part !== "").join(", "));
}
