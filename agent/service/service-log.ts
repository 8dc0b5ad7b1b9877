import { printableJson, printableLine } from "../../command-line/format.js";

/** The log of a service, one line per event. Facts are ids and numbers, never a credential. */
export interface ServiceLog {
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
}

type LogFacts = Record<string, string | number>;

/**
 * Returns the log of a service: text lines on standard error, or JSON lines on standard output with `--json`.
 */
export function serviceLog(json: boolean): ServiceLog {
  const write = (level: "info" | "warning", message: string, facts: LogFacts = {}) => {
    if (json) {
      const line = { time: new Date().toISOString(), level, message, ...facts };
      process.stdout.write(`${printableJson(line)}\n`);
    } else {
      process.stderr.write(`${printableLine(level === "info" ? message : `warning: ${message}`)}\n`);
    }
  };
  return {
    info: (message, facts) => write("info", message, facts),
    warn: (message, facts) => write("warning", message, facts),
  };
}
