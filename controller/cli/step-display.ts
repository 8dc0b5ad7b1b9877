import { formatSeconds, printableLine } from "../../command-line/format.js";
import { printNote } from "../../command-line/output.js";
import { type Display, NO_DISPLAY } from "../run/runner.js";

const REDRAW_MS = 250;
const LINE_INTERVAL_MS = 30_000;
const ERASE_LINE = "\r\x1b[2K";

/**
 * Shows the steps on standard error: a live line on a terminal, plain lines elsewhere, nothing with `--json`.
 */
export function stepDisplay(json: boolean): Display {
  if (json) return { ...NO_DISPLAY, note: printNote };
  return process.stderr.isTTY ? liveDisplay() : lineDisplay();
}

interface Current {
  title: string;
  progress: string;
  started: number;
}

function describe({ title, progress, started }: Current): string {
  const elapsed = formatSeconds((performance.now() - started) / 1000);
  return printableLine([title, progress, elapsed].filter((part) => part !== "").join(", "));
}

function liveDisplay(): Display {
  let current: Current | undefined;
  let timer: NodeJS.Timeout | undefined;
  const draw = () => {
    if (current !== undefined) process.stderr.write(`${ERASE_LINE}○ ${describe(current)}`);
  };
  return {
    begin: (title) => {
      current = { title, progress: "", started: performance.now() };
      timer = setInterval(draw, REDRAW_MS);
      draw();
    },
    progress: (progress) => {
      if (current !== undefined) current.progress = progress;
    },
    end: (outcome) => {
      clearInterval(timer);
      if (current === undefined) return;
      process.stderr.write(`${ERASE_LINE}${outcome === "done" ? "●" : "✗"} ${describe(current)}\n`);
      current = undefined;
    },
    note: (text) => {
      process.stderr.write(ERASE_LINE);
      printNote(text);
      draw();
    },
  };
}

function lineDisplay(): Display {
  let current: Current | undefined;
  let lastLine = 0;
  const print = (state: string) => {
    if (current !== undefined) process.stderr.write(`${state}: ${describe(current)}\n`);
    lastLine = performance.now();
  };
  return {
    begin: (title) => {
      current = { title, progress: "", started: performance.now() };
      lastLine = performance.now();
    },
    progress: (progress) => {
      if (current !== undefined) current.progress = progress;
      if (performance.now() - lastLine > LINE_INTERVAL_MS) print("still");
    },
    end: (outcome) => {
      print(outcome);
      current = undefined;
    },
    note: printNote,
  };
}
