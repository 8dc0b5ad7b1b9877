import { printableJson, printableLine } from "../../command-line/format.js";
import type { ErrorCode } from "../../foundation/errors.js";

/** The log of a service, one line per event. Facts are ids and numbers, never a credential. */
export interface ServiceLog {
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts?: LogFacts): void;
}

/** Listed in agent/cli/outputs.ts, too. */
interface LogFacts {
  job?: string;
  /** Id of a recovery point. */
  point?: string;
  code?: ErrorCode;
  worker?: string;
  repository?: string;
  /** Id of an EBS volume, and the path of its device. */
  volume?: string;
  device?: string;
}

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
