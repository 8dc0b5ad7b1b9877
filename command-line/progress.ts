const REDRAW_MS = 250;
const ERASE_LINE = "\r\x1b[2K";

/** What runs, as text without line breaks. */
export interface ProgressText {
  /** Returns the line for a terminal. */
  live(): string;
  /** Returns the line for a log. */
  plain(): string;
}

export interface ProgressLine {
  /** Prints something above the line. */
  interrupt(print: () => void): void;
  /** Shows the line for the last time. @param last replaces the text */
  end(last?: ProgressText): void;
}

/**
 * Shows on standard error what runs: a line that is redrawn on a terminal, and lines at an interval elsewhere.
 * @param intervalMs between two lines of a log
 */
export function showProgress(text: ProgressText, intervalMs: number): ProgressLine {
  return process.stderr.isTTY ? liveLine(text) : plainLines(text, intervalMs);
}

function liveLine(text: ProgressText): ProgressLine {
  const draw = () => process.stderr.write(ERASE_LINE + fitting(text.live()));
  draw();
  const timer = setInterval(draw, REDRAW_MS).unref();
  return {
    interrupt: (print) => {
      process.stderr.write(ERASE_LINE);
      print();
      draw();
    },
    end: (last = text) => {
      clearInterval(timer);
      process.stderr.write(`${ERASE_LINE}${last.live()}\n`);
    },
  };
}

/** Returns what fits into one line of the terminal: a longer text could not be erased. */
function fitting(line: string): string {
  return line.slice(0, (process.stderr.columns || Number.POSITIVE_INFINITY) - 1);
}

function plainLines(text: ProgressText, intervalMs: number): ProgressLine {
  const print = (shown: ProgressText) => process.stderr.write(`${shown.plain()}\n`);
  const timer = setInterval(() => print(text), intervalMs).unref();
  return {
    interrupt: (printOther) => printOther(),
    end: (last = text) => {
      clearInterval(timer);
      print(last);
    },
  };
}
